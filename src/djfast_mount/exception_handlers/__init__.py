"""Django's exceptions as HTTP answers."""

from djfast_mount.exception_handlers.handlers import add_exception_handlers
from djfast_mount.exception_handlers.views import server_error

__all__ = ["add_exception_handlers", "server_error"]
