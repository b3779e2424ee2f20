"""Which values a schema keeps back from answers, or may change on their way there.

Pydantic's core schema is the whole of what it does, whichever way it was declared. Any function of a project's own in
it may hide a value, a validator's too: a schema validates what it shows. Nobody can tell from outside what it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

from pydantic import BaseModel

from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.declaring.mapping import masks, orm_of

__all__ = ["kept_back"]

Core = Mapping[str, Any]
# Their functions check a value, or write it in another notation.
_TRUSTED = {"djfast_mount", "pydantic", "pydantic_core"}
_NO_CORES = {"cls", "config", "default", "default_factory", "expected", "metadata"}


@cache
def kept_back(schema: type[BaseModel]) -> frozenset[str]:
    """Returns the attributes of `schema` that answers lack for some callers, or that a project's code may change."""
    shape_of(schema)  # Pydantic has its core schema by then.
    core: Core = schema.__pydantic_core_schema__
    known: dict[str, Core] = {}
    while core["type"] != "model-fields":
        known |= {each["ref"]: each for each in core.get("definitions", ())}
        core = known.get(core.get("schema_ref", ""), core)
        around = (core.get("function"), core.get("serialization"))
        # A validator or a serializer of the whole, `model_post_init`, or a core schema that somebody has made.
        if core.get("post_init") or any(_hides(each) for each in _functions(around, known)) or "schema" not in core:
            return frozenset(schema.model_fields)
        core = core["schema"]
    found = {name for name, field in core["fields"].items() if _is_kept_back(field, known)}
    return frozenset(found | {name for name, info in schema.model_fields.items() if orm_of(info).read_scopes})


def _is_kept_back(field: Core, known: Mapping[str, Core]) -> bool:
    excluded = field.get("serialization_exclude") or field.get("serialization_exclude_if")
    return bool(excluded) or any(_hides(each) for each in _functions(field["schema"], known))


def _functions(part: Any, known: Mapping[str, Core]) -> Iterator[Any]:
    """Yields every function of a core schema, nested schemas left out: they are asked themselves."""
    if isinstance(part, list | tuple):
        for each in part:
            yield from _functions(each, known)
    if not isinstance(part, Mapping) or part.get("type") == "model":
        return
    for name, value in part.items():
        if name == "function" and not isinstance(value, Mapping):
            yield value
        elif name == "schema_ref":
            # Without it below: types may hold themselves.
            rest = {ref: core for ref, core in known.items() if ref != value}
            yield from _functions(known.get(value), rest)
        elif name not in _NO_CORES:
            yield from _functions(value, known)


def _hides(function: Any) -> bool:
    """Whether `function` is a project's own, or is known to hide values."""
    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    # `SecretStr` and its kin are Pydantic's, and are written as asterisks.
    return module.partition(".")[0] not in _TRUSTED or masks(function) or hasattr(function, "get_secret_value")
