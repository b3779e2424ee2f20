"""One line in the log for each request, in the place of the server's own access log.

1. The path is written, and never the query string, which may hold tokens and what people search for.
2. The path is quoted as in a URL: nobody can begin a line of their own, or end the quotation marks. So is the client,
   which is what a header says where a server believes one of everybody's.
3. Answers about health are left out.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal
from urllib.parse import quote

from djfast_mount.logs import JSONFormatter
from djfast_mount.telemetry.record import RequestRecord
from djfast_mount.telemetry.watchers import Watcher

__all__ = ["AccessLog"]

logger = logging.getLogger("djfast_mount.access")

_SERVERS = ("uvicorn.access", "hypercorn.access")
_TEXT = "%(asctime)s %(message)s"


class AccessLog(Watcher):
    """Logs each request that has ended. What it cost is in `extra`, which a formatter of JSON writes.

    Args:
        form: How it is written to stdout where nobody has set up a handler for its logger.
    """

    def __init__(self, form: Literal["text", "json"]) -> None:
        _take_over(form)

    def end(self, observed: Any) -> None:
        if observed.owner != "health" and logger.isEnabledFor(logging.INFO):
            _log(observed, observed.scope)


def _take_over(form: Literal["text", "json"]) -> None:
    """Turns the server's own access log off, and has ours written. A second call changes nothing."""
    for name in _SERVERS:
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = False  # Without a handler uvicorn does not even make the line.
    # Only where nobody has chosen a level.
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JSONFormatter() if form == "json" else logging.Formatter(_TEXT))
        logger.addHandler(handler)


def _log(record: RequestRecord, scope: Any) -> None:
    client = scope.get("client")
    # The decoded path is quoted again: it may hold a line break that was %0A in the URL.
    path = quote(scope["path"], errors="backslashreplace")
    fields = {
        "client": quote(str(client[0]), safe="/:%") if client else "-",
        "method": record.method or "WEBSOCKET",
        "path": path,
        "status": record.status,
        "duration": round(record.duration, 6),
        "bytes": record.bytes_sent,
        "owner": record.owner,
        "route": record.route,
        "wait": round(record.wait, 6),
        "queries": record.queries,
        "query_time": round(record.query_time, 6),
        "client_gone": record.client_gone,
        "error": record.error,
        "request_id": record.request_id,
    }
    logger.info(
        '%s "%s %s" %s %d %.1fms queries=%d id=%s',
        fields["client"],
        fields["method"],
        path,
        "-" if record.status is None else record.status,
        record.bytes_sent,
        record.duration * 1000,
        record.queries,
        record.request_id or "-",
        extra=fields,
    )
