"""Which of the values that an invalid request held are secrets, and the errors about it without them.

A value is a secret by its name (`password`, `token`), or because a schema says so (pydantic's SecretStr, SecretBytes,
Secret). pydantic's errors show the value that was refused. For a missing field this is the whole object, with the
secrets beside it.

1. What is under a secret's name is hidden, at any depth, and so is what a cookie brought. Where a secret is missing,
   all that was sent in its place is hidden: it may be there by a wrong name.
2. Where an endpoint takes a secret, a text or bytes in the place of an object are hidden as well: they may be an object
   that was not decoded.
3. A message keeps its words, without the secret: of whatever field it is, and however a validator has put it.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, get_args, get_origin, get_type_hints
from weakref import ref

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from pydantic import AliasPath, BaseModel, Secret, SecretBytes, SecretStr
from starlette.datastructures import FormData
from starlette.types import Scope

__all__ = ["HIDDEN", "is_secret", "secret_names_of", "without_secrets"]

HIDDEN = "**********"
"""What stands for a secret, as pydantic writes it."""

_NAMES = re.compile(
    r"pass(word|wd|phrase|code)|(^|_)pass($|_)|pwd|secret|token|credential|authorization|api_?key|private_?key"
    r"|signature|session_?(id|key)|cookie|(^|_)(pin|otp|cvv|cvc|ssn)($|_)"
)
# The types of errors about a value that is no object, or no list of them.
_OBJECTS = re.compile("^(model|dataclass|dict|mapping|list|tuple|set|json|arguments)_")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRETS = (SecretStr, SecretBytes, Secret)
_SIZED = (str, bytes, bytearray, Mapping, list, tuple)
_SHORT = 3
# Longer than any field's: clients choose keys, and are not to fill the memory with them.
_LONGEST_REMEMBERED = 64
# By the ids of a route and of an app, which cannot be hashed. The app may add dependencies to the router of the route.
_known: dict[tuple[int, int], tuple[ref[Any], ref[Any], frozenset[str]]] = {}


def is_secret(name: object, names: frozenset[str] = frozenset()) -> bool:
    """Whether a field, header, cookie or key of that name holds a secret, by itself or as one of `names`."""
    if not isinstance(name, str):
        return False
    if name in names:
        return True
    return _says_so(name) if len(name) <= _LONGEST_REMEMBERED else _says_so.__wrapped__(name)


@lru_cache(maxsize=1024)
def _says_so(name: str) -> bool:
    return _NAMES.search(_CAMEL.sub("_", name).lower().replace("-", "_")) is not None


def without_secrets(errors: Iterable[Any], names: frozenset[str], body: Any = None) -> list[Any]:
    """Returns pydantic's `errors` with what they show of secrets hidden.

    Args:
        names: The fields that the endpoint's schemas call secret, as `secret_names_of()` finds them.
        body: What was sent, as FastAPI has decoded it. A validator may tell of a secret that stands elsewhere in it.
    """
    sent: list[str] = []
    _hide(dict(body) if isinstance(body, FormData) else body, names, sent)
    # A short secret, such as a digit, is also part of ordinary words. To hide it would destroy the message.
    long = [text for text in sent if len(text) > _SHORT]
    return [_without(error, names, long) for error in errors]


def _without(error: Any, names: frozenset[str], sent: Sequence[str]) -> Any:
    given = error.get("input")
    found = list(sent)
    shown = given
    # Otherwise nothing was sent, and there is nothing to hide.
    if given is not None and (given or not isinstance(given, _SIZED)):
        shown = _shown(error, given, names, found)
    secrets = sorted({form for text in found for form in _forms(text)}, key=len, reverse=True)
    hidden = {key: _replace(value, secrets) for key, value in error.items() if secrets and key in ("msg", "ctx")}
    return {**error, **hidden, **({"input": shown} if "input" in error else {})}


def _shown(error: Any, given: Any, names: frozenset[str], found: list[str]) -> Any:
    """What stands for `given`; the secrets in it are put into `found`."""
    if any(is_secret(part, names) for part in error.get("loc", ())):
        found += _texts(given)
        return HIDDEN
    if names and isinstance(given, str | bytes | bytearray) and _may_be_undecoded(error):
        return HIDDEN
    return _hide(given, names, found)


def _forms(text: str) -> Iterator[str]:
    """How a message may have the secret `text`."""
    bare = text.strip()
    if bare:
        yield from (text, bare, repr(bare)[1:-1])


def _may_be_undecoded(error: Any) -> bool:
    named = any(isinstance(part, str) for part in error.get("loc", ())[1:])
    return not named or _OBJECTS.search(error.get("type", "")) is not None


def _hide(value: Any, names: frozenset[str], found: list[str]) -> Any:
    """`value` itself where nothing of it is a secret. The secrets are put into `found`."""
    if isinstance(value, Mapping):
        shown = {key: _hide_item(key, item, names, found) for key, item in value.items()}
        return value if all(shown[key] is item for key, item in value.items()) else shown
    if isinstance(value, list | tuple):
        items = [_hide(item, names, found) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    if isinstance(value, BaseModel):
        fields = dict(value)
        return value if _hide(fields, names, found) is fields else HIDDEN
    if isinstance(value, _SECRETS):
        found += _texts(value.get_secret_value())
        return HIDDEN
    return value


def _hide_item(key: Any, item: Any, names: frozenset[str], found: list[str]) -> Any:
    if not is_secret(key, names):
        return _hide(item, names, found)
    found += _texts(item)
    return HIDDEN


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, _SECRETS):
        yield from _texts(value.get_secret_value())
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _replace(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            # A short text is part of many ordinary words.
            word = re.escape(secret) if len(secret) > _SHORT else rf"(?<!\w){re.escape(secret)}(?!\w)"
            value = re.sub(word, HIDDEN, value, flags=re.IGNORECASE)
        return value
    if isinstance(value, Mapping):
        return {key: _replace(item, secrets) for key, item in value.items()}
    return HIDDEN if isinstance(value, Exception) else value


# What schemas say ---------------------------------------------------------------------------------------------------


def secret_names_of(scope: Scope) -> frozenset[str]:
    """Returns the names that hold secrets in what the endpoint of a call, and its dependencies, take."""
    route, app = scope.get("route"), scope.get("app")
    if route is None or app is None:
        return frozenset()
    known = _known.get((id(route), id(app)))
    if known is None or known[0]() is not route or known[1]() is not app:
        contexts = iter_route_contexts(getattr(app, "routes", ()))
        dependants = [context.dependant for context in contexts if context.original_route is route]
        found = (name for dependant in dependants for name in _of_dependant(dependant))
        key = id(route), id(app)
        # An app may be made for one request. What is known of it goes with it.
        known = ref(route), ref(app, lambda _: _known.pop(key, None)), frozenset(found)
        _known[key] = known
    return known[2]


def _of_dependant(dependant: Dependant) -> Iterator[str]:
    for parameters in (
        dependant.path_params,
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    ):
        for field in parameters:
            yield from _of_field((field.name, field.alias), field.field_info.annotation, set())
    for below in dependant.dependencies:
        yield from _of_dependant(below)


def _of_field(names: Iterable[Any], annotation: Any, seen: set[Any]) -> Iterator[str]:
    if _holds_a_secret(annotation):
        yield from (name for name in names if isinstance(name, str))
    for kind in _kinds(annotation):
        yield from _of_class(kind, seen)
    yield from (name for name in names if is_secret(name))


def _of_class(kind: Any, seen: set[Any]) -> Iterator[str]:
    if kind in seen:
        return
    seen.add(kind)
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield from _of_field((name, field.alias, *_aliases(field.validation_alias)), field.annotation, seen)
    elif dataclasses.is_dataclass(kind) or hasattr(kind, "__required_keys__"):
        for name, annotation in get_type_hints(kind).items():
            yield from _of_field((name,), annotation, seen)


def _aliases(alias: Any) -> Iterator[Any]:
    for choice in getattr(alias, "choices", [alias]):
        yield choice.path[-1] if isinstance(choice, AliasPath) else choice


def _holds_a_secret(annotation: Any) -> bool:
    return any(issubclass(kind, _SECRETS) for kind in _kinds(annotation))


def _kinds(annotation: Any) -> Iterator[type]:
    """The classes in an annotation: of its unions, lists and other arguments too."""
    origin = get_origin(annotation)
    yield from (kind for kind in (annotation, origin) if inspect.isclass(kind))
    # The value of a `type X = ...`.
    for argument in (*get_args(annotation), *(getattr(kind, "__value__", None) for kind in (annotation, origin))):
        if argument is not None:
            yield from _kinds(argument)
