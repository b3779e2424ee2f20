"""The errors of djfast_mount: one tree.

MountError
├── ConfigurationError      the call of mount(), a setting or an installed app is wrong: raised at start-up
└── PoolTimeout             no thread came free in time: 503 with Retry-After
"""

from traceback import walk_tb

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

__all__ = ["ConfigurationError", "MountError", "PoolTimeout", "client_has_left", "original_of"]


class MountError(Exception):
    """The base of every error that djfast_mount raises itself."""


class ConfigurationError(MountError):
    """The arguments of `mount()`, or what they name, are wrong. Raised at start-up, never during a request."""


class PoolTimeout(MountError, HTTPException):
    """No thread of the pool came free within `seconds`.

    FastAPI and Starlette answer it as the HTTPException that it is: 503 with ``Retry-After``.
    """

    def __init__(self, seconds: float) -> None:
        # Retry-After is what makes a 503 a request to come back (RFC 9110, section 15.6.4): proxies and clients wait
        # for it.
        HTTPException.__init__(
            self, 503, f"The server is busy: no thread came free within {seconds:g} s.", headers={"Retry-After": "1"}
        )
        self.seconds = seconds


def original_of(error: Exception) -> Exception:
    """Returns the error for which Starlette's ExceptionMiddleware has raised one of its own.

    It does so where there is a handler and the response has begun already.
    """
    cause = error.__cause__
    if (
        # By its words, as Starlette raises a plain RuntimeError (starlette._exception_handler).
        type(error) is RuntimeError
        and str(error).startswith("Caught handled exception, but response already started")
        and isinstance(cause, Exception)
    ):
        return cause
    return error


# Whose frames are in a traceback only where the app has called `send` or `receive`.
_SERVERS = {"uvicorn", "hypercorn", "daphne", "granian"}


def client_has_left(error: BaseException | None) -> bool:
    """Whether `error`, or what it was raised from, says that the client has left: it is nobody's fault.

    A server may raise an OSError from `send` then (ASGI, "Disconnected Client"). uvicorn on uvloop raises the
    RuntimeError of the transport. A RuntimeError of the server's own code is about the messages of an app, and is one.
    """
    while error is not None:
        if isinstance(error, ClientDisconnect):
            return True
        # An OSError of the endpoint's own, of a file or of another server, must stay an error.
        packages = [frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
        of_transport = isinstance(error, OSError) or (isinstance(error, RuntimeError) and packages[-1:] == ["uvloop"])
        if of_transport and not _SERVERS.isdisjoint(packages):
            return True
        error = error.__cause__
    return False
