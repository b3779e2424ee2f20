"""How a plan turns what the endpoint returned into the answer that FastAPI would send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from fastapi.datastructures import DefaultPlaceholder
from fastapi.encoders import jsonable_encoder
from fastapi.utils import is_body_allowed_for_status_code
from pydantic_core import SchemaSerializer, SchemaValidator
from starlette.responses import JSONResponse, Response

from djfast_mount.fastpath.eligibility import Facts
from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.private_names import private

__all__ = [
    "build_reply",
    "dump_of",
    "encoded",
    "injected_response",
    "is_json",
    "is_known_class",
    "is_plain",
    "reply_to",
    "serialize_of",
    "status_of",
    "validate_of",
    "validated",
    "write_content",
    "write_reply",
]

_DUMPS = json.dumps
# As JSONResponse has json.dumps() make one for each response.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
# Deeper values go to FastAPI's encoder, which has a limit of its own.
_DEPTH = 20
_SCALARS = frozenset({str, int, bool, float, type(None)})


def injected_response() -> Response:
    """Returns the Response that a dependency, or the endpoint, may set headers and a status on."""
    response = Response(None, 204)  # It has no Content-Length.
    response.status_code = None  # type: ignore[assignment]  # As FastAPI says that nobody has set one.
    return response


def is_json(facts: Facts) -> bool:
    """Whether the answer is JSON that is dumped at once, as FastAPI does it where no response class was chosen."""
    return facts.cells["response_field"] is not None and isinstance(facts.cells["response_class"], DefaultPlaceholder)


def is_known_class(facts: Facts) -> bool:
    """Whether the class of the responses is of FastAPI or Starlette: how a project's are made may want the loop."""
    return facts.cells["actual_response_class"].__module__.partition(".")[0] in ("fastapi", "starlette")


def status_of(facts: Facts) -> int | None:
    """Returns the status of the answer, unless one is set on the injected response; None: it is the class's."""
    return facts.cells["status_code"] or None


def _options(facts: Facts) -> dict[str, Any]:
    names = ("include", "exclude", "by_alias", "exclude_unset", "exclude_defaults", "exclude_none")
    return {name: facts.cells[f"response_model_{name}"] for name in names}


def dump_of(facts: Facts) -> Any:
    """Returns what makes JSON of a validated result."""
    field, options = facts.cells["response_field"], _options(facts)
    serializer = field._type_adapter.serializer
    # A plugin of pydantic's, or an adapter whose types are not complete, has one of another class: it knows more than
    # this.
    if type(serializer) is not SchemaSerializer:
        return partial(field.serialize_json, **options)
    # Each keyword costs pydantic-core a lookup. These have the values that it takes by itself.
    options = {name: value for name, value in options.items() if value not in (None, False) or name == "by_alias"}
    return partial(serializer.to_json, **options)


def validate_of(field: Any) -> Any:
    """Returns what validates a value of `field`."""
    adapter = field._type_adapter
    # An adapter whose types are not complete yet, or that a plugin watches, has a validator of another class.
    return (adapter.validator if type(adapter.validator) is SchemaValidator else adapter).validate_python


def serialize_of(facts: Facts) -> Any:
    """Returns what makes of a validated result what the response class takes."""
    return partial(facts.cells["response_field"].serialize, **_options(facts))


def encoded(result: Any) -> bytes:
    """Returns a result of an endpoint without a response model as JSON."""
    # Tools replace `json.dumps` (orjson, instrumentation), and JSONResponse would call theirs.
    if not is_plain(result) or json.dumps is not _DUMPS:
        return bytes(JSONResponse(jsonable_encoder(result)).body)
    return _encode(result).encode()


def is_plain(value: Any, depth: int = _DEPTH) -> bool:
    """Whether the JSON of `value` is that of what FastAPI's encoder makes of it."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if not depth:
        return False
    if kind is dict:
        for key, item in value.items():
            # FastAPI's encoder leaves out keys that begin so: they are SQLAlchemy's (fastapi.encoders).
            if type(key) is not str or key.startswith("_sa") or not is_plain(item, depth - 1):
                return False
        return True
    if kind is list or kind is tuple:
        return all(is_plain(item, depth - 1) for item in value)
    return False


def build_reply(facts: Facts, content: Any, tasks: Any, injected: Response | None) -> Response:
    """Returns the response with `content`, as FastAPI's handler builds it.

    Args:
        content: JSON as bytes where `is_json`, else what the response class takes.
        injected: The response on which a status and headers may be set.
    """
    arguments: dict[str, Any] = {"background": tasks}
    status = (injected.status_code if injected is not None else None) or status_of(facts)
    if status is not None:
        arguments["status_code"] = status
    if is_json(facts):
        reply = Response(content=content, media_type="application/json", **arguments)
    else:
        reply = facts.cells["actual_response_class"](content, **arguments)
    # 204 and 304 have no body (RFC 9110, sections 15.3.5 and 15.4.5).
    if not is_body_allowed_for_status_code(reply.status_code):
        reply.body = b""
    if injected is not None:
        reply.headers.raw.extend(injected.headers.raw)
    return reply


async def reply_to(facts: Facts, result: Any, solved: Any, context: Any) -> Response:
    """Returns the response that FastAPI's handler makes of `result`, after it has solved the dependencies."""
    if isinstance(result, Response):
        if result.background is None:
            result.background = solved.background_tasks
        return result
    content = await private.serialize_response(
        field=facts.cells["response_field"],
        response_content=result,
        is_coroutine=facts.cells["is_coroutine"],
        endpoint_ctx=context,
        dump_json=is_json(facts),
        **_options(facts),
    )
    return build_reply(facts, content, solved.background_tasks, solved.response)


def write_reply(lines: Lines, end: str) -> None:
    """Writes what takes a Response that the endpoint returned. `end` is what ends the calls then."""
    with lines.block("if isinstance(result, Response):"):
        lines.add("reply = result", "if reply.background is None: reply.background = tasks", end)


@contextmanager
def validated(lines: Lines, objects: Objects, facts: Facts) -> Iterator[None]:
    """Writes what makes of `result` what its response may have. What is added within is for such a result, and ends
    the calls.
    """
    field = facts.cells["response_field"]
    if field is None:
        yield
        return
    validate = objects.add(validate_of(field), "validate")
    lines.add(f"try: result = {validate}(result, from_attributes=True)")
    lines.add("except ValidationError as error: problem = error.errors(include_url=False)")
    with lines.block("else:"):
        yield
    lines.add("raise unanswerable(FACTS, scope, problem, result)")


def write_content(
    lines: Lines, objects: Objects, facts: Facts, end: str, injects: bool, sending: Sequence[str] = ()
) -> None:
    """Writes what makes of a validated `result` either `reply`, or `content` and `fields`, the headers.

    Args:
        end: What ends the calls.
        injects: Whether a status and headers may be set on `response`.
        sending: What sends `content` and `fields` at once, and ends the calls instead.
    """
    is_bare = facts.cells["response_field"] is None and facts.cells["actual_response_class"] is JSONResponse
    if not (is_json(facts) or is_bare) or not is_body_allowed_for_status_code(status_of(facts)):
        lines.add(f"reply = build_reply(FACTS, {_made(objects, facts)}, tasks, response)", end)
        return
    if is_bare and injects:
        _write_status(lines, "jsonable_encoder(result)", end)
    lines.add(f"content = {'encoded(result)' if is_bare else _made(objects, facts)}")
    if injects and not is_bare:
        _write_status(lines, "content", end)
    more = ", *response.headers.raw" if injects else ""
    lines.add(f"fields = [(b'content-length', b'%d' % len(content)), JSON{more}]", *(sending or [end]))


def _made(objects: Objects, facts: Facts) -> str:
    if facts.cells["response_field"] is None:
        return "jsonable_encoder(result)"
    make = dump_of if is_json(facts) else serialize_of
    return f"{objects.add(make(facts), 'serialize')}(result)"


def _write_status(lines: Lines, content: str, end: str) -> None:
    with lines.block("if response.status_code:"):
        lines.add(f"reply = build_reply(FACTS, {content}, tasks, response)", end)
