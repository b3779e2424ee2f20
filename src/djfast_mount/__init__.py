"""FastAPI and Django as one ASGI application.

The root imports neither Django nor FastAPI: Django imports the root of every installed app before its settings
are ready, and pytest the root of every plugin.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from djfast_mount.asgi import mount as mount

__version__ = "0.1.0"
__all__ = ["mount"]


def __getattr__(name: str) -> Any:
    if name == "mount":
        from djfast_mount.asgi import mount  # noqa: PLC0415

        return mount
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
