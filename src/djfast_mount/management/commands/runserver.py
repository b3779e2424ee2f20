"""`manage.py runserver`: Django's own, serving both halves over ASGI."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import fastapi
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.management.commands.runserver import Command as DjangoCommand
from django.db import DatabaseError, connections
from django.utils import autoreload
from django.utils.version import get_docs_version

from djfast_mount.conf import SETTING
from djfast_mount.management.autoreload import FATAL, RELOAD, is_serving_process, supervise, watch_packages
from djfast_mount.management.find_application import Project, load_project
from djfast_mount.management.request_log import RequestLog, without_colours
from djfast_mount.management.startup_banner import places

try:
    import uvicorn
except ImportError as error:
    raise ModuleNotFoundError(
        'manage.py runserver needs uvicorn. Install it: pip install "djfast-mount[server]".', name="uvicorn"
    ) from error

__all__ = ["Command"]

# Seconds that requests have to end: when the server is told to stop, and when a file has changed.
GRACE = 8
GRACE_OF_RELOAD = 1
# Seconds beyond it in which lifespans and threads are ended.
_AFTER_REQUESTS = 4

_REFUSALS = {
    errno.EACCES: "You don't have permission to access that port.",
    errno.EADDRINUSE: "That port is already in use.",
    errno.EADDRNOTAVAIL: "That IP address can't be assigned to.",
}

uvicorn_log = logging.getLogger("uvicorn.error")


class DevelopmentServer(uvicorn.Server):
    """uvicorn, which tells when it has started and says nothing before."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        level = uvicorn_log.level
        uvicorn_log.setLevel(logging.CRITICAL)  # What it would say is told by the command, once.
        try:
            await super().startup(sockets)
        finally:
            uvicorn_log.setLevel(level)
        self._on_started()


class Command(DjangoCommand):
    """Options and behaviour are those of Django's runserver and of staticfiles'; both halves are served."""

    help = "Starts a development server for Django and the mounted APIs, with static files."
    # Set by Django's handle() before it calls run().
    addr: str
    port: str
    use_ipv6: bool

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--nostatic", action="store_false", dest="use_static_handler", help="Serves no static files."
        )
        parser.add_argument(
            "--insecure",
            action="store_true",
            dest="insecure_serving",
            help="Serves static files as in development, even if DEBUG is False.",
        )

    def run(self, **options: Any) -> None:
        """Serves until it is told to stop; with the reloader there are two processes. For the main thread."""
        self._server: DevelopmentServer | None = None
        self._ended = threading.Event()
        if not options["use_reloader"]:
            self.inner_run(None, **options)
        elif is_serving_process():
            self._serve_and_reload(options)
        else:
            try:
                sys.exit(supervise(self.stderr.write))
            except KeyboardInterrupt:
                sys.exit(0)

    def _serve_and_reload(self, options: dict[str, Any]) -> None:
        autoreload.autoreload_started.connect(watch_packages)
        grace = GRACE
        try:
            autoreload.run_with_reloader(self.inner_run, **options)
        except SystemExit as exit_:
            # A changed file is to be seen at once. An event stream that is open would hold the old process for the
            # whole grace.
            grace = GRACE_OF_RELOAD if exit_.code == RELOAD else GRACE
            raise
        finally:
            self._stop(grace)

    def _stop(self, grace: int) -> None:
        # The process that supervises this one may pass on what the terminal has sent already.
        # A second one would end the process in the midst of its lifespans' shutdown.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server = self._server
        if server is None:
            return
        server.config.timeout_graceful_shutdown = grace
        server.should_exit = True
        try:
            # Bounded: the reloader is waiting, and a lifespan that hangs must not keep the new code from being served.
            self._ended.wait(grace + _AFTER_REQUESTS)
        except KeyboardInterrupt:
            server.force_exit = True

    def inner_run(self, *args: Any, **options: Any) -> None:
        """Checks, then serves. Runs on a thread of its own where there is a reloader."""
        try:
            self._check(options)
            self._serve(options)
        except CommandError as error:
            if not options["use_reloader"]:
                raise
            # The reloader goes on, and starts the server again when the fault has been mended.
            self.stderr.write(f"{error}\n")
        except KeyboardInterrupt:
            if message := options.get("shutdown_message"):
                self.stdout.write(message)
            sys.exit(0)
        finally:
            self._ended.set()

    def _check(self, options: dict[str, Any]) -> None:
        # What ManagementUtility could not do at the start is raised here, where the reloader sees it.
        autoreload.raise_last_exception()
        if options["no_color"]:
            without_colours()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            what: Any = BaseCommand.get_check_kwargs(self, options)
            self.check(**what, display_num_errors=True)
        try:
            self.check_migrations()
        # Django's own command refuses to start then. Here the other half may be of use without a database.
        except DatabaseError as error:
            self.stderr.write(self.style.WARNING(f"Migrations could not be checked: {str(error).strip()}"))
        # This thread asks the database no more, and the connection would count against `max_connections` until the end.
        for connection in connections.all(initialized_only=True):
            connection.close()

    def _serve(self, options: dict[str, Any]) -> None:
        _apply(options)
        listener = self._bind()
        try:
            project = load_project()
            app = RequestLog(project.app)
            config = uvicorn.Config(
                app,
                # uvicorn would set its loggers up anew, over the project's LOGGING.
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE,
            )
            # The banner is Django's, and each request is a line of `django.server`.
            uvicorn_log.setLevel(logging.WARNING)
            port = listener.getsockname()[1]
            self._server = DevelopmentServer(config, lambda: self._announce(project, port))
            self._run_server(self._server, listener, app)
        finally:
            listener.close()

    def _run_server(self, server: DevelopmentServer, listener: socket.socket, app: RequestLog) -> None:
        try:
            server.run(sockets=[listener])
        except SystemExit:
            # As uvicorn ends when a lifespan fails to start.
            if server.started:
                raise
            raise CommandError(f"The application did not start. {app.failure.strip()}") from None

    def _bind(self) -> socket.socket:
        try:
            # Bound by hand, before the project is loaded: a port that is taken is told at once, and in Django's words.
            family, _, _, _, address = socket.getaddrinfo(
                "0.0.0.0" if self.addr == "0" else self.addr,
                int(self.port),
                socket.AF_INET6 if self.use_ipv6 else socket.AF_INET,
                socket.SOCK_STREAM,
            )[0]
            listener = socket.socket(family, socket.SOCK_STREAM)
            # As Django's WSGIServer: otherwise the port of the process before cannot be had for a minute (TIME_WAIT).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except (OSError, OverflowError) as error:
            self.stderr.write(f"Error: {_REFUSALS.get(getattr(error, 'errno', None) or 0, error)}")
            self.stderr.flush()
            # sys.exit() would end this thread alone.
            os._exit(FATAL if is_serving_process() else 1)
        return listener

    def _announce(self, project: Project, port: int) -> None:
        host = f"[{self.addr}]" if ":" in self.addr else "0.0.0.0" if self.addr == "0" else self.addr
        url = f"{self.protocol}://{host}:{port}"
        quit_command = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        versions = f"Django version {self.get_version()}, FastAPI version {fastapi.__version__}"
        lines = [
            datetime.now().strftime("%B %d, %Y - %X"),  # noqa: DTZ005  (the clock on the wall)
            f"{versions}, using settings {settings.SETTINGS_MODULE!r}",
            f"Starting development server at {url}/",
            *(f"  {name:<10} {url}{path}" for name, path in places(project.root)),
            f"Quit the server with {quit_command}.",
        ]
        self.stdout.write("\n".join(lines))
        if os.environ.get("DJANGO_RUNSERVER_HIDE_WARNING") != "true":
            self.stdout.write(
                self.style.WARNING(
                    "WARNING: This is a development server. Do not use it in a production setting. Use a production "
                    f"ASGI server instead, such as: uvicorn {project.target}\nFor more information on production "
                    f"servers see: https://docs.djangoproject.com/en/{get_docs_version()}/howto/deployment/"
                )
            )


def _apply(options: dict[str, Any]) -> None:
    """Has `mount()`, which is called when the project is loaded, find the command's options in the settings."""
    # A copy: the project's own dict may be shared with code that reads it elsewhere.
    ours = dict(getattr(settings, SETTING, {}))
    if not options["use_static_handler"]:
        ours["static"] = False
    if not options["use_threading"]:
        ours["threads"] = 1
    setattr(settings, SETTING, ours)
    if options["insecure_serving"] and not settings.DEBUG:
        settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
