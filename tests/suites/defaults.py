"""What stands between a foreign test and a root with the defaults: docs for the staff, errors in the schemas.

docs/differences.md has both. They would fail every test that compares a schema, so they are looked for here, and then
undone: anonymous clients are refused, and a schema has the errors in exactly these words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
App = Callable[..., Any]

ENDINGS = ("/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect")
URLS = ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
REFUSED = (401, b'{"detail":"Not authenticated"}')
# The descriptions by their status: see src/djfast_mount/api_docs/error_responses.py.
ERRORS = {
    "400": "The path, the query or the body cannot be read",
    "413": "The body is too large",
    "503": "No thread, or no database, in time: try again",
}


class ForStaff:
    """The root `app`, whose docs and schemas a test sees all the same: as `public`, the same root, shows everyone.

    Args:
        foreign: The test's own app, which says where its docs are.
        counts: Where the refusals and the schemas are counted.
    """

    def __init__(self, app: App, public: App, foreign: App, counts: Counter[str]) -> None:
        self.app = app
        self._public = public
        self._endings = (*ENDINGS, *filter(None, (getattr(foreign, name, None) for name in URLS)))
        self._counts = counts

    async def __call__(self, scope: Scope, receive: App, send: App) -> None:
        asks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"].endswith(self._endings)
        if not asks:
            await self.app(scope, receive, send)
            return
        messages = await collected(self.app, scope, receive)
        if (messages[0]["status"], body_of(messages)) == REFUSED:
            self._counts["docs refused"] += 1
            messages = self._without_errors(await collected(self._public, scope, receive))
        for message in messages:
            await send(message)

    def _without_errors(self, messages: list[Message]) -> list[Message]:
        """The same response, where it is a schema without the errors that the root has put there."""
        start, body = messages[0], body_of(messages)
        if dict(start["headers"]).get(b"content-type") != b"application/json" or b'"openapi"' not in body:
            return messages
        schema = json.loads(body)
        for item in schema.get("paths", {}).values():
            for operation in filter(is_operation, item.values()):
                added = {status for status, text in ERRORS.items() if operation["responses"].get(status) == said(text)}
                self._counts["schemas with errors"] += "503" in added
                for status in added:
                    del operation["responses"][status]
        body = json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()
        length = (b"content-length", str(len(body)).encode())
        headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
        return [{**start, "headers": [*headers, length]}, {"type": "http.response.body", "body": body}]


def said(text: str) -> Mapping[str, str]:
    return {"description": text}


def is_operation(found: Any) -> bool:
    return isinstance(found, dict) and "responses" in found


async def collected(app: App, scope: Scope, receive: App) -> list[Message]:
    """What `app` sends: a whole response."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app({**scope}, receive, send)
    return messages


def body_of(messages: list[Message]) -> bytes:
    return b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
