"""The middleware of the project: of a path that it rewrites, and one that closes connections."""

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send


class NextFiles:
    """The build of the front end asks for /_next, and its files are static files."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/_next"):
            scope = {**scope, "path": "/static" + scope["path"]}
        await self.app(scope, receive, send)


class CloseConnections:
    """Without a lease of a thread, connections are closed on whichever thread comes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await run_in_threadpool(close_old_connections)
        await sync_to_async(close_old_connections)()
        try:
            await self.app(scope, receive, send)
        finally:
            await run_in_threadpool(close_old_connections)
            await sync_to_async(close_old_connections)()
