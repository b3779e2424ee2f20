"""Transactions around API calls.

1. They begin with the first sync call of the request, on its thread: an endpoint that makes none takes no thread and
   opens no transaction. All later calls of the request are inside.
2. They end before the response is sent: a client that has been told of a write will find it, after `on_commit` has run.
3. An exception rolls back, and so does an HTTPException of 400 or more. A returned response commits, whatever its
   status, as with Django's ATOMIC_REQUESTS; bodies of streams and background tasks come after.

Name used here that is not public: ``_non_atomic_requests``, see djfast_mount.django_half.private_names.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Annotated, Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from fastapi import APIRouter, Depends, FastAPI
from fastapi.params import Depends as DependsParam
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from djfast_mount.apis.dependencies import add_dependency
from djfast_mount.database.connections import begun
from djfast_mount.exceptions import ConfigurationError, MountError
from djfast_mount.offload.current import Source, current_source
from djfast_mount.spelling import did_you_mean

__all__ = ["Atomic", "atomic", "honour_atomic_requests"]


class _Block:
    """The transactions of one dependency, on one database or several."""

    def __init__(self, aliases: tuple[str, ...]) -> None:
        self.aliases = aliases
        self.over = False
        self._begun = False
        self._entered = contextlib.ExitStack()

    def enter(self) -> None:
        """Begins the transactions, once. Runs on the request thread."""
        if self.over or self._begun:
            return
        self._begun = True
        for alias in self.aliases:
            self._entered.enter_context(transaction.atomic(using=alias))

    def leave(self, error: BaseException | None) -> None:
        """Commits, or rolls back for `error`. Runs on the request thread."""
        self.over = True
        if error is None:
            self._entered.close()
        else:
            self._entered.__exit__(type(error), error, error.__traceback__)


# Of the caller's request, outermost first.
_blocks: contextvars.ContextVar[tuple[_Block, ...]] = contextvars.ContextVar("djfast_mount_blocks", default=())


def _begin() -> None:
    for block in _blocks.get():
        block.enter()


def atomic(using: str = DEFAULT_DB_ALIAS) -> Any:
    """Returns a dependency: the rest of the call is one transaction on the database `using`.

    Put it among the ``dependencies`` of a route or a router, or into ``Annotated[None, atomic(using="other")]``. Asked
    for twice, or under ATOMIC_REQUESTS, it is one transaction still.

    Raises: ConfigurationError, when there is no such database.
    """
    if using not in connections:
        remedy = did_you_mean(using, list(connections), f"There are {', '.join(map(repr, connections))}.")
        raise ConfigurationError(f"atomic() got using={using!r}, which is no database of settings.DATABASES. {remedy}")
    # Scope "function": it ends before the response is sent, and not after it as the default scope does.
    return Depends(_transaction_on(using), scope="function")


@cache
def _transaction_on(alias: str) -> Callable[[HTTPConnection], AsyncIterator[None]]:
    # One for each alias: FastAPI knows by it that a call has entered it already.
    async def in_transaction(connection: HTTPConnection) -> AsyncIterator[None]:
        async with _in_transactions(connection, (alias,)):
            yield

    return in_transaction


Atomic = Annotated[None, Depends(_transaction_on(DEFAULT_DB_ALIAS), scope="function")]
"""The rest of the call is one transaction on the default database, committed before the response is sent."""


async def _atomic_requests(connection: HTTPConnection) -> AsyncIterator[None]:
    if connection.scope["type"] != "http":
        yield  # Django's setting is for requests: a websocket may stay open for hours.
        return
    exempt = getattr(connection.scope.get("endpoint"), "_non_atomic_requests", ())
    async with _in_transactions(connection, tuple(alias for alias in _aliases() if alias not in exempt)):
        yield


def _aliases() -> list[str]:
    return [alias for alias, options in connections.settings.items() if options["ATOMIC_REQUESTS"]]


def honour_atomic_requests(api: FastAPI | APIRouter) -> None:
    """Makes every call of `api`, its dependencies included, a transaction on each database with ``ATOMIC_REQUESTS``.

    Django's ``non_atomic_requests`` on the endpoint exempts it. Plain Starlette routes have no dependencies and are
    left alone. A second call changes nothing. Called by `mount()`.
    """
    if not _aliases():
        return
    add_dependency(api, DependsParam(_atomic_requests, scope="function"))


@contextlib.asynccontextmanager
async def _in_transactions(connection: HTTPConnection, aliases: tuple[str, ...]) -> AsyncIterator[None]:
    source = current_source()
    if source is None:
        raise MountError(
            "A transaction needs the request's own thread, and this app is not served by mount(). Test through the "
            "application that mount() returns."
        )
    if _begin not in begun:
        # With the first block, not at import: every spell of an app without transactions would pay for it.
        begun.append(_begin)
    outer = _blocks.get()
    block = _Block(tuple(alias for alias in aliases if all(alias not in known.aliases for known in outer)))
    if not block.aliases:
        yield
        return
    _blocks.set((*outer, block))
    try:
        if source.held is not None or connection.scope["type"] != "http":
            await source.run(block.enter)
        yield
    except BaseException as error:
        kept = isinstance(error, HTTPException) and error.status_code < 400
        await _leave(source, block, outer, None if kept else error)
        raise
    else:
        await _leave(source, block, outer, None)


async def _leave(source: Source, block: _Block, outer: tuple[_Block, ...], error: BaseException | None) -> None:
    # Not by a token: the context of the thread would keep the value, and hand it back.
    _blocks.set(outer)
    if source.held is None:
        block.over = True
    else:
        await source.run(block.leave, error)
