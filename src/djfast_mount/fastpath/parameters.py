"""How a plan reads and validates one parameter from the path, the query string, the headers or the cookies.

The written lines find these names: `path`, `query`, `pairs`, `headers`, `first`, `cookies`, `query_params`. They leave
the loop that stands around them, by `break`, where a required value is missing or a validator refuses. FastAPI then
finds out what is wrong.
"""

from __future__ import annotations

from copy import deepcopy
from enum import Enum
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qsl

from pydantic_core import SchemaValidator

from djfast_mount.fastpath.lines import Lines, Objects
from djfast_mount.fastpath.private_names import private

__all__ = ["Source", "cookies_of", "pairs_of", "query_of", "write_default", "write_parameter", "write_validation"]

Source = Literal["path", "query", "header", "cookie"]

_CONSTANTS = (type(None), bool, int, float, str, bytes)
_RECEIVED = {"query": "query_params", "header": "Headers(raw=headers)", "cookie": "cookies", "path": "path"}


def write_parameter(lines: Lines, objects: Objects, field: Any, source: Source, target: str) -> None:
    """Writes the lines that read one parameter into the variable `target`."""
    model = private._get_param_model(field)
    if model is not None:
        # With all its rules for aliases and for what is left over: FastAPI's own, which costs more.
        names = objects.add(field, "field"), objects.add(model, "model")
        lines.add(f"{target}, errors = read_model({names[0]}, {names[1]}, {_RECEIVED[source]})")
        lines.add("if errors: break")
        return
    _write_lookups(lines, field, source, target)
    absent = f"not {target}" if _is_sequence(field) else f"{target} is None"
    write_default(lines, objects, field, target, absent, is_text=source != "path" and not _is_many(field, source))


def write_default(
    lines: Lines, objects: Objects, field: Any, target: str, absent: str, *, is_text: bool = False
) -> None:
    """Writes what becomes of `target`: its default where `absent` is true, else what its validator makes of it.

    Args:
        is_text: Whether a value that is there is a `str`.
    """
    if field.field_info.is_required():
        lines.add(f"if {absent}: break")
    elif field.field_info.validate_default:
        lines.add(f"if {absent}: {target} = {_default(objects, field)}")
    else:
        with lines.block(f"if {absent}:"):
            lines.add(f"{target} = {_default(objects, field)}")
        if is_text and _takes_any_text(field):
            return
        with lines.block("else:"):
            write_validation(lines, objects, field, target)
        return
    if not (is_text and _takes_any_text(field)) or field.field_info.validate_default:
        write_validation(lines, objects, field, target)


def write_validation(lines: Lines, objects: Objects, field: Any, target: str) -> None:
    """Writes the validation of the value in `target`."""
    adapter = field._type_adapter
    # An adapter whose types are not complete yet, or that a plugin watches, has a validator of another class.
    owner = adapter.validator if type(adapter.validator) is SchemaValidator else adapter
    validate = objects.add(owner.validate_python, "validate")
    lines.add(
        f"try: {target} = {validate}({target}, from_attributes=True)",
        "except ValidationError: break",
    )


def _write_lookups(lines: Lines, field: Any, source: Source, target: str) -> None:
    aliases = [alias for _, alias in private._get_param_aliases(field)]
    for number, alias in enumerate(aliases):
        lookup = f"{target} = {_lookup(field, source, alias)}"
        lines.add(lookup if number == 0 else f"if {target} is None: {lookup}")


def _lookup(field: Any, source: Source, alias: str) -> str:
    if source == "header":
        name = alias.lower().encode("latin-1")
        if _is_many(field, source):
            return f"[value.decode('latin-1') for name, value in headers if name == {name!r}] or None"
        return f"first[{name!r}].decode('latin-1') if {name!r} in first else None"
    if _is_many(field, source):
        return f"[value for name, value in pairs if name == {alias!r}] or None"
    return f"{source if source != 'cookie' else 'cookies'}.get({alias!r})"


def _is_sequence(field: Any) -> bool:
    return bool(private.field_annotation_is_sequence(field.field_info.annotation))


def _is_many(field: Any, source: Source) -> bool:
    """Whether a parameter takes every value of its name, as a list."""
    return source in ("query", "header") and _is_sequence(field) and not private._is_json_field(field)


def _default(objects: Objects, field: Any) -> str:
    info = field.field_info
    if info.default_factory is None and (type(info.default) in _CONSTANTS or isinstance(info.default, Enum)):
        return objects.add(info.default, "default")
    # Each request has its own copy, and what makes one is the user's code.
    return f"{objects.add(partial(_fresh_default, field), 'default')}()"


def _fresh_default(field: Any) -> Any:
    return deepcopy(field.default)


def _takes_any_text(field: Any) -> bool:
    """Whether the validator returns every `str` as it is."""
    adapter = field._type_adapter
    if field.config or type(adapter.validator) is not SchemaValidator:
        return False
    schema = adapter.core_schema
    while schema["type"] in ("default", "nullable"):
        schema = schema["schema"]
    return bool(schema["type"] == "str" and schema.keys() <= {"type", "metadata"})


def pairs_of(query_string: bytes) -> list[tuple[str, str]]:
    """Returns the names and values of a query string, as Starlette's QueryParams has them."""
    text = query_string.decode("latin-1")
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True)
    # Four times as fast, and the same where nothing is quoted.
    return [(name, value) for part in text.split("&") if part for name, _, value in (part.partition("="),)]


def query_of(query_string: bytes) -> dict[str, str]:
    """Returns the last value of each name in a query string: `dict(pairs_of(query_string))`, with less work."""
    text = query_string.decode("latin-1")
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    query = {}
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            query[name] = value
    return query


def cookies_of(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Returns the cookies, as Starlette's Request has them."""
    cookies: dict[str, str] = {}
    for name, value in headers:
        if name == b"cookie":
            cookies.update(private.cookie_parser(value.decode("latin-1")))
    return cookies
