"""What Django's validation says of a body, in the shape in which FastAPI tells of an invalid one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from fastapi.exceptions import RequestValidationError

__all__ = ["InvalidRow", "Path", "told"]

Path = tuple[str | int, ...]


# Both, so that FastAPI's handler answers it, a project's own handler of either kind as well, and `except
# ValidationError` in Django code goes on to work.
class InvalidRow(RequestValidationError, ValidationError):
    """A row that `full_clean` refuses, with the path of each error into the body.

    FastAPI answers it as it answers a body that Pydantic refuses: 422 with type, loc and msg of each error. To Django's
    code it is the ValidationError that it was.
    """

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        RequestValidationError.__init__(self, list(errors))
        by_path: dict[str, list[ValidationError]] = {}
        for error in errors:
            name = ".".join(map(str, error["loc"][1:])) or NON_FIELD_ERRORS
            by_path.setdefault(name, []).append(ValidationError(error["msg"], code=error["type"]))
        ValidationError.__init__(self, by_path)

    def __str__(self) -> str:
        return ValidationError.__str__(self)


def told(error: ValidationError, path: Path, key_of: Callable[[str], str]) -> Iterable[dict[str, Any]]:
    """Yields what `error` says, each under `path`. `key_of` turns a field's name into the one that was sent."""
    by_name = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    for name, errors in by_name.items():
        place = path if name == NON_FIELD_ERRORS else (*path, key_of(name))
        for each in errors:
            for message in each.messages:
                yield {"type": each.code or "value_error", "loc": place, "msg": str(message)}
