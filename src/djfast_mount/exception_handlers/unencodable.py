"""JSON that Python reads and no answer can hold: numbers beyond a float's, halves of surrogate pairs, deep nesting."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from django.utils.functional import Promise

__all__ = ["fault_of", "in_words", "printable"]

_STRING = re.compile(rb'"(?:\\.|[^"\\])*"', re.DOTALL)
# Brackets within brackets. Python's limit of 1000 is for the calls of an encoder, several to a level.
_DEEP = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
# Levels of a value that an error shows: deeper ones have no use, and encoders have a limit.
_DEPTH = 20


class _UnencodableError(Exception):
    """A value was met that no JSON answer can hold."""


def fault_of(body: bytes) -> str | None:
    """Returns what no answer could hold of a JSON body, in words for its sender; None where all is well, or no JSON."""
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except _UnencodableError as error:
        return str(error)
    except UnicodeEncodeError:
        return "A string holds half of a surrogate pair."
    except RecursionError:
        return "The values are nested too deeply."
    except ValueError:
        return None
    return "The values are nested too deeply." if _depth(body) > _DEEP else None


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in re.findall(rb"[][{}]", _STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(depth, deepest)
    return deepest


def _refuse(constant: str) -> NoReturn:
    raise _UnencodableError(f"JSON has no {constant}.")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise _UnencodableError(f"The number {text[:20]} is out of range.")
    return value


def printable(value: Any, depth: int = 0) -> Any:
    """Returns `value` with what JSON cannot hold replaced by text, for an error that shows what was sent."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list | tuple) and depth >= _DEPTH:
        return "..."
    if isinstance(value, dict):
        return {printable(key): printable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable(item, depth + 1) for item in value]
    return value


def in_words(value: Any) -> Any:
    """Returns `value` with each lazy text of it in the language that is active now."""
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, dict):
        return {in_words(key): in_words(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_words(item) for item in value]
    return value
