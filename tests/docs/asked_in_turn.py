"""Asks an app of a project one request after another, in this process: python asked_in_turn.py module:name < requests.

A request is a list: the method, the path, the body or null, the token or null. What is answered is printed as JSON.
A row is known by its name, since its key is another one each time: /companies/{brass} is the company called brass.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

import httpx


async def answers(app: Any, requests: list[Any]) -> list[Any]:
    keys = {"nobody": "0" * 16}
    found = []
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for method, path, body, token in requests:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            response = await client.request(method, path.format(**keys), json=body, headers=headers)
            told = read(response)
            if isinstance(told, dict) and "id" in told:
                keys[told["name"]] = told["id"]
            found.append([response.status_code, known(told, {key: name for name, key in keys.items()})])
    return found


def read(response: httpx.Response) -> Any:
    is_json = response.content and "json" in response.headers.get("content-type", "")
    return response.json() if is_json else response.text


def known(told: Any, names: dict[str, str]) -> Any:
    if isinstance(told, dict):
        return {key: known(value, names) for key, value in told.items()}
    if isinstance(told, list):
        return [known(value, names) for value in told]
    return names.get(told, told) if isinstance(told, str) else told


def main(target: str) -> None:
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    importlib.import_module("django.core.management").call_command("migrate", run_syncdb=True, verbosity=0)
    importlib.import_module("django.db").connections.close_all()
    print(json.dumps(asyncio.run(answers(app, json.load(sys.stdin)))))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
