"""Logs for a container: all of a process's on stdout, as JSON or as text.

    LOGGING = log_to_stdout("json")

in the settings takes the place of the server's own configuration too, which is made before the settings are read.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

from djfast_mount.exceptions import ConfigurationError

__all__ = ["JSONFormatter", "log_to_stdout"]

# Loggers that have handlers of their own, by uvicorn's configuration and by Django's. They leave it to the root now.
_OWN = ("uvicorn", "uvicorn.error", "uvicorn.access", "django", "django.server")

_TEXT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
# How deep containers are written, and the integers that every parser reads without loss.
_DEPTH = 20
_BIG = 2**63
_ACCESS = ("client", "method", "path", "http_version", "status")


class JSONFormatter(logging.Formatter):
    """Writes each record as one line of JSON: time, level, logger, message, `extra` and the traceback.

    A line of uvicorn's access log also has the parts of the request. A key of `extra` that bears one of these names is
    written inside of ``"extra"``. No record is lost, whatever it holds: what JSON has no form for is written as its
    `str`, and a message whose arguments do not fit is written with them behind it. The line is ASCII, and strict
    parsers read it: no NaN, and no half of a surrogate pair.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields = self._own_fields(record)
        extra = {name: value for name, value in vars(record).items() if name not in _KNOWN}
        # Where a name is taken, "extra" is ours to give, so a key of that name goes into it too.
        taken = {*fields, "extra"} if fields.keys() & extra.keys() else fields.keys()
        if inner := {name: value for name, value in extra.items() if name in taken}:
            extra = {name: value for name, value in extra.items() if name not in taken} | {"extra": inner}
        return _line({**fields, **extra})

    def _own_fields(self, record: logging.LogRecord) -> dict[Any, Any]:
        fields: dict[Any, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == len(_ACCESS):
            fields |= dict(zip(_ACCESS, record.args, strict=True))
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        elif record.exc_text:  # of a record that came from another process
            fields["traceback"] = record.exc_text
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:
        return f"{_text(record.msg)} {_text(record.args)}"


def _line(fields: dict[Any, Any]) -> str:
    with contextlib.suppress(Exception):
        line = json.dumps(fields, allow_nan=False, default=_text)
        # Half of a surrogate pair is valid to `json.dumps` and not to most parsers (RFC 8259, section 8.2).
        if "\\ud" not in line:  # neither a surrogate nor half of one
            return line
    return json.dumps(_plain(fields, ()))


def _plain(value: object, inside: tuple[int, ...]) -> Any:
    """The same in what every parser of JSON takes. `inside` has the ids of the containers around it."""
    if value is None or isinstance(value, bool):
        return value
    if id(value) in inside or len(inside) > _DEPTH:
        return "..."
    with contextlib.suppress(Exception):  # containers can have methods of their own, which raise
        if isinstance(value, dict):
            return {_text(name): _plain(part, (*inside, id(value))) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return [_plain(part, (*inside, id(value))) for part in value]
        # Parsers with integers of 64 bits refuse what is larger, and the record with it.
        if (isinstance(value, float) and math.isfinite(value)) or (isinstance(value, int) and abs(value) < _BIG):
            return value
    return _text(value)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as error:
        return f"<{type(value).__name__}, whose str() raised {type(error).__name__}>"
    # Halves of surrogate pairs, which are no characters, become U+FFFD.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def log_to_stdout(format: str = "text", level: str = "INFO") -> dict[str, Any]:  # noqa: A002
    """Returns what ``settings.LOGGING`` is to be: every logger, uvicorn's and Django's too, writes to stdout.

    Args:
        format: ``"json"``, a line of JSON for each record, or ``"text"``.
        level: The least that is written.

    Raises: ConfigurationError.
    """
    if format not in ("json", "text"):
        raise ConfigurationError(f"log_to_stdout() got format={format!r}. Give 'json' or 'text'.")
    return {
        "version": 1,
        # The default of `dictConfig()` is True, which would silence loggers that were made before.
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "djfast_mount.logs.JSONFormatter"}, "text": {"format": _TEXT}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": format}},
        "root": {"handlers": ["stdout"], "level": level.upper()},
        "loggers": {name: {"handlers": [], "level": "NOTSET", "propagate": True} for name in _OWN},
    }
