"""Header fields as ASGI has them: pairs of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["missing_headers"]


def missing_headers(own: Mapping[bytes, bytes], wanted: Mapping[bytes, bytes]) -> Iterable[tuple[bytes, bytes]]:
    """Returns those of `wanted`, whose names are in lower case, that are not among a response's `own`."""
    if not b"".join(own).islower():  # ASGI wants them so, and not every app does it.
        own = {name.lower(): value for name, value in own.items()}
    # The usual case first, in C: this runs for every response.
    more = wanted.items()
    return more if own.keys().isdisjoint(wanted) else [pair for pair in more if pair[0] not in own]
