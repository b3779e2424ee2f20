"""How a plan has the JSON body of a request, and hands its parameters on.

Whatever is not a whole, well-formed JSON body with a content type that says so is FastAPI's: nothing of the user's has
run yet, so all messages are replayed to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from email.message import Message as EmailMessage
from functools import lru_cache
from typing import Any

from pydantic_core import from_json
from starlette.types import Message, Receive

from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.parameters import write_default
from djfast_mount.fastpath.private_names import private

__all__ = ["Replay", "receive_json", "write_body"]

_LOADS = json.loads
_UNKNOWN = object()


class Replay:
    """ASGI `receive`: first what was received before, then what `receive` raised, then what it receives from now on."""

    def __init__(self, messages: list[Message], error: Exception | None, receive: Receive) -> None:
        self._messages = messages
        self._error = error
        self._receive = receive

    async def __call__(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        if self._error is not None:
            error = [self._error]
            self._error = None
            raise error.pop()
        return await self._receive()


async def receive_json(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, strict: bool
) -> tuple[bytes, Any, Replay | None]:
    """Returns the body, the value that it holds, and None; or what replays all of it to FastAPI.

    Args:
        strict: Whether a body without a content type is no JSON.
    """
    # Kept until it is certain that no replay is needed: a body is received once.
    messages: list[Message] = []
    error: Exception | None = None
    body = b""
    try:
        message = await receive()
        messages.append(message)
        while message["type"] == "http.request" and message.get("more_body"):
            message = await receive()
            messages.append(message)
        if message["type"] != "http.request":
            return b"", None, Replay(messages, None, receive)
        body = message.get("body", b"") if len(messages) == 1 else b"".join(part.get("body", b"") for part in messages)
    except Exception as problem:
        error = problem
    if error is not None:
        replay = Replay(messages, error, receive)
        # The traceback would be in a cycle with this frame, and keep the body until the garbage collector comes.
        error = None
        return b"", None, replay
    if not body:
        return b"", private.Undefined, None
    value = _parsed(headers, body, strict)
    return body, value, Replay(messages, None, receive) if value is _UNKNOWN else None


def _parsed(headers: Iterable[tuple[bytes, bytes]], body: bytes, strict: bool) -> Any:
    for name, value in headers:
        if name == b"content-type":
            # The comparison of bytes is for nearly all clients, and the parser of e-mail headers for the rest.
            if value != b"application/json" and not _is_json(value):
                return _UNKNOWN
            break
    else:
        if strict:
            return _UNKNOWN
    if json.loads is not _LOADS:  # Somebody reads JSON in another way.
        return _UNKNOWN
    try:
        # Where this succeeds it is equal to what json.loads() returns, and five times as fast. It refuses more: byte
        # order marks, UTF-16 and -32, lone surrogates, deep nesting.
        return from_json(body)
    except ValueError:
        return _UNKNOWN


@lru_cache(maxsize=64)
def _is_json(content_type: bytes) -> bool:
    message = EmailMessage()
    message["content-type"] = content_type.decode("latin-1")
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


def write_body(lines: Lines, objects: Objects, dependant: Any, targets: list[str], embeds: bool) -> None:
    """Writes the lines that take the body parameters of one dependant into the variables `targets`.

    Args:
        embeds: Whether the route has each parameter in a field of the body.
    """
    fields = dependant.body_params
    if len(fields) == 1 and not embeds and not private._should_embed_body_fields(fields):
        lines.add(f"{targets[0]} = body")
        write_default(lines, objects, fields[0], targets[0], f"{targets[0]} is Undefined")
        return
    lines.add("if body is not Undefined and type(body) is not dict: break")
    for field, target in zip(fields, targets, strict=True):
        aliases = [alias for alias, _ in private._get_param_aliases(field)]
        lines.add(f"{target} = Undefined if body is Undefined else body.get({aliases[0]!r}, Undefined)")
        for alias in aliases[1:]:
            lines.add(f"if {target} is Undefined is not body: {target} = body.get({alias!r}, Undefined)")
        write_default(lines, objects, field, target, f"{target} is Undefined")
