"""Logs for a container: all of a process's on stdout, as JSON or as text.

    LOGGING = log_to_stdout("json")

in the settings takes the place of the server's own configuration too, which is made before the settings are read.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from djfast_mount.exceptions import ConfigurationError

__all__ = ["JSONFormatter", "log_to_stdout"]

# Loggers that have handlers of their own, by uvicorn's configuration and by Django's. They leave it to the root now.
_OWN = ("uvicorn", "uvicorn.error", "uvicorn.access", "django", "django.server")

_TEXT = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"
_KNOWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
_ACCESS = ("client", "method", "path", "http_version", "status")


class JSONFormatter(logging.Formatter):
    """Writes each record as one line of JSON: time, level, logger, message, `extra` and the traceback.

    A line of uvicorn's access log has the parts of the request besides. What JSON cannot hold is written as its `str`.
    """

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.name == "uvicorn.access" and isinstance(record.args, tuple) and len(record.args) == len(_ACCESS):
            fields |= dict(zip(_ACCESS, record.args, strict=True))
        fields |= {name: value for name, value in vars(record).items() if name not in _KNOWN and name not in fields}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        return json.dumps(fields, default=str)


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
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "djfast_mount.logs.JSONFormatter"}, "text": {"format": _TEXT}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": format}},
        "root": {"handlers": ["stdout"], "level": level.upper()},
        "loggers": {name: {"handlers": [], "level": "NOTSET", "propagate": True} for name in _OWN},
    }
