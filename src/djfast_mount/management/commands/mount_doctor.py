"""`manage.py mount_doctor`: what is wrong with the project as it is configured, and how to mend it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.management.base import BaseCommand, CommandParser

from djfast_mount.checks.application import refusal
from djfast_mount.doctor.probes import PROBES, findings, findings_of_refused
from djfast_mount.doctor.schemas import probe_schemas
from djfast_mount.doctor.target import Target
from djfast_mount.management.find_application import find_root

__all__ = ["Command"]

_LEVELS = {"DEBUG": checks.DEBUG, "INFO": checks.INFO, "WARNING": checks.WARNING, "ERROR": checks.ERROR}


class Command(BaseCommand):
    """Runs the system checks, then the probes. Ends with status 1 where something is at or above the fail level."""

    help = "Looks at the project as it is configured, says what is wrong and how to mend it."
    # The doctor reports what they find itself. Django would end the command at the first error, before anything else
    # was looked at.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        # The variable that uvicorn, gunicorn and most platforms read for the number of worker processes.
        workers = int(os.environ.get("WEB_CONCURRENCY") or 1)
        parser.add_argument("--workers", type=_count, default=workers, help="Processes of a server (WEB_CONCURRENCY).")
        parser.add_argument("--instances", type=_count, default=1, help="Servers that share the databases.")
        parser.add_argument("--deploy", action="store_true", help="Looks as in production, even if DEBUG is on.")
        parser.add_argument(
            "--requests",
            action="store_true",
            help="Runs the lifespans and calls every GET endpoint without parameters, to find the ORM off its thread.",
        )
        parser.add_argument("--fail-level", choices=_LEVELS, default="WARNING", help="Default: %(default)s.")
        parser.add_argument("--json", action="store_true", dest="as_json", help="Writes JSON, one object a finding.")

    def handle(self, *args: Any, **options: Any) -> None:
        production = options["deploy"] or not settings.DEBUG
        # E042 is among the findings then.
        is_refused = refusal() is not None
        found = findings_of_refused(production=production) if is_refused else _asked(options, production)
        if options["as_json"]:
            self.stdout.write(json.dumps([_as_dict(message) for message in found], indent=2))
        else:
            self._tell(found, _left_out(options, production, is_refused))
        # SystemExit, not CommandError: the findings have been told already, and CI needs the status alone.
        if any(message.level >= _LEVELS[options["fail_level"]] for message in found):
            raise SystemExit(1)

    def _tell(self, found: list[CheckMessage], left_out: Iterable[str]) -> None:
        for message in found:
            style = self._style_of(message)
            self.stdout.write(style(f"{_level(message)} {message.id}") + f"  {_subject(message)}{message.msg}")
            if message.hint:
                self.stdout.write(f"    {message.hint}")
        for line in left_out:
            self.stdout.write(line)
        count = sum(message.level > checks.DEBUG for message in found)
        told = f"{count} finding{'s' if count > 1 else ''}."
        self.stdout.write(told if count else self.style.SUCCESS("Nothing to mend."))

    def _style_of(self, message: CheckMessage) -> Any:
        if message.level >= checks.ERROR:
            return self.style.ERROR
        return self.style.WARNING if message.level >= checks.WARNING else self.style.NOTICE


def _asked(options: dict[str, Any], production: bool) -> list[CheckMessage]:
    target = Target(
        root=find_root(),
        workers=options["workers"],
        instances=options["instances"],
        calls_endpoints=options["requests"],
        production=production,
    )
    # Not among PROBES: who imports those need not have loaded the schemas.
    return findings(target, (*PROBES, probe_schemas))


def _left_out(options: dict[str, Any], production: bool, is_refused: bool) -> Iterator[str]:
    if not production:
        yield "DEBUG is on: what matters in production alone was not looked at (--deploy does)."
    if is_refused:
        yield "The app does not start, so nothing was asked of it or of the databases."
    elif not options["requests"]:
        yield "No endpoint was called (--requests does)."


def _count(text: str) -> int:
    # `isdecimal()`: "²" is a digit to `isdigit()`, and no number to `int()`.
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up.")
    return int(text)


def _level(message: CheckMessage) -> str:
    return next((name for name, level in reversed(_LEVELS.items()) if message.level >= level), "DEBUG")


def _subject(message: CheckMessage) -> str:
    return "" if message.obj is None else f"{message.obj}: "


def _as_dict(message: CheckMessage) -> dict[str, str | None]:
    return {
        "id": message.id,
        "level": _level(message),
        "message": _subject(message) + message.msg,
        "hint": message.hint,
    }
