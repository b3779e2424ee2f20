"""Django's exceptions as HTTP answers."""

from djfast_mount.exception_handlers.handlers import (
    add_exception_handlers,
)

__all__ = ["add_exception_handlers"]
