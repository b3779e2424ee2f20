"""What the client of an API call has sent, whatever middleware within makes of the scope. ASGI words only."""

from __future__ import annotations

from typing import NamedTuple

from starlette.types import Scope

from djfast_mount.routing.prefixes import SENT

__all__ = ["SENT", "Sent", "sent_in"]


class Sent(NamedTuple):
    """What the client itself has sent."""

    method: str | None
    headers: tuple[tuple[bytes, bytes], ...]

    def header(self, name: str) -> str | None:
        """Returns a header, with those of the same name joined by commas."""
        sought = name.lower().encode("latin-1")
        values = [value for key, value in self.headers if key == sought]
        return b",".join(values).decode("latin-1") if values else None


def sent_in(scope: Scope) -> Sent:
    """Returns what the client has sent; a scope that came by no `mount()` is taken as it is."""
    found: tuple[str | None, tuple[tuple[bytes, bytes], ...]] | None = scope.get(SENT)
    return Sent(scope.get("method"), tuple(scope["headers"])) if found is None else Sent(*found)
