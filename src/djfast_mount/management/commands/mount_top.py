"""`manage.py mount_top`: what a running server is doing, in a terminal."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from djfast_mount.management.figures import Server

__all__ = ["Command"]


class Command(BaseCommand):
    """Draws the figures of `/admin/mount/` again and again, until Ctrl+C."""

    help = "Shows what a running server is doing: the figures of /admin/mount/, in the terminal."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--url",
            default="http://127.0.0.1:8000",
            help="Where Django's half of the server is, with its prefix if it has one. Default: %(default)s.",
        )
        parser.add_argument(
            "--header",
            action="append",
            default=[],
            type=_header,
            metavar="'NAME: VALUE'",
            help="A header to send along, such as 'Host: shop.example'. May be given more than once.",
        )
        parser.add_argument("--interval", type=_seconds, default=2.0, help="Seconds between two looks. Default: 2.")
        parser.add_argument("--once", action="store_true", help="Looks once, and writes what it sees.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # By name: it needs rich, which is an extra.
            terminal: Any = importlib.import_module("djfast_mount.dashboard.terminal")
        except ImportError as error:
            raise CommandError(str(error)) from error
        server = Server(options["url"], dict(options["header"]))
        console = terminal.Console(file=self.stdout, no_color=options["no_color"] or None)
        # Once before the screen is taken over, so that a wrong URL is told in the terminal as it was.
        figures = server.figures()
        if options["once"]:
            console.print(terminal.drawn(figures))
            return
        with (
            contextlib.suppress(KeyboardInterrupt),
            terminal.Live(terminal.drawn(figures), console=console, screen=True, auto_refresh=False) as live,
        ):
            for drawn in _looks(server, figures, options["interval"], terminal.drawn):
                live.update(drawn, refresh=True)


def _looks(
    server: Server, figures: dict[str, Any], interval: float, draw: Callable[[dict[str, Any], str], Any]
) -> Iterator[Any]:
    """Draws the figures again and again. Where the server does not answer the last ones stay, with the reason."""
    while True:
        time.sleep(interval)
        fault = ""
        try:
            figures = server.figures()
        except CommandError as error:
            fault = str(error)
        yield draw(figures, fault)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no header. Write it as 'Host: shop.example'.")
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # `nan` and `inf` are floats too, and a sleep of either is an error or has no end.
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600.")
    return seconds
