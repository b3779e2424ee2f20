"""What each request cost: see docs/telemetry.md.

It is off until ``settings.DJFAST_MOUNT["telemetry"]`` is True, and then nothing of it is in the way of a request.
"""

from __future__ import annotations

from djfast_mount.telemetry.listeners import Listener, subscribe
from djfast_mount.telemetry.record import Repeated, RequestRecord, current_record
from djfast_mount.telemetry.request_ids import RequestIDFilter, outgoing_headers

__all__ = [
    "Listener",
    "Repeated",
    "RequestIDFilter",
    "RequestRecord",
    "current_record",
    "outgoing_headers",
    "subscribe",
]
