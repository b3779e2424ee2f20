"""Asks an app of a project for paths, in this process, and prints what it answers: python asked.py module:name path...

A path may have a method before it: "POST /api/users". A project's folder is the current one.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from typing import Any

import httpx


def prepare() -> None:
    management = importlib.import_module("django.core.management")
    management.call_command("migrate", verbosity=0)
    models = importlib.import_module("django.contrib.auth.models")
    for name in ("ada", "bob"):
        models.User.objects.get_or_create(username=name)
    importlib.import_module("django.db").connections.close_all()


async def answers(app: Any, rows: list[str], root_path: str) -> list[Any]:
    transport = httpx.ASGITransport(app, root_path=root_path, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        found = []
        for row in rows:
            method, _, path = row.rpartition(" ")
            found.append(await client.request(method or "GET", path))
        return [told(response) for response in found]


def told(response: httpx.Response) -> list[Any]:
    return [response.status_code, response.headers.get("content-type"), response.headers.get("location"), response.text]


def main(target: str, rows: list[str]) -> None:
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    prepare()
    if module.endswith("wsgi"):
        with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://testserver") as client:
            found = [told(client.request(row.rpartition(" ")[0] or "GET", row.rpartition(" ")[2])) for row in rows]
    else:
        found = asyncio.run(answers(app, rows, ""))
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
