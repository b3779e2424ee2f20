"""`manage.py mount_migrate`: Django's `migrate`, by one process at a time."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import OperationalError, connections

from djfast_mount.exception_handlers.database_errors import is_outage
from djfast_mount.management.migration_lock import NotInTime, migration_lock

__all__ = ["Command"]

logger = logging.getLogger("djfast_mount.migrate")


class Command(Migrate):
    """Migrates under an advisory lock: of instances that start together one migrates, and the others wait for it."""

    help = "Runs `migrate` while no other process does: for containers, of which several start at once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--wait", type=_seconds, help="The most seconds to wait for another process that migrates. Default: no end."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        try:
            with migration_lock(
                alias, options["wait"], lambda: self._tell(f"Another process migrates {alias!r}.", options)
            ):
                _lift_timeout(alias)
                super().handle(*args, **options)
        except NotInTime as error:
            self._give_up(alias, f"{error}. Look at what it does, or give more than --wait.", options)
        except OperationalError as error:
            # A migration that fails for another reason is a fault of the project: its traceback names the migration.
            if not is_outage(error):
                raise
            # Drivers write several lines, of which a collector of logs would make several records.
            said = " ".join(str(error).split())
            self._give_up(alias, f"it does not answer ({said}). Look at DATABASES[{alias!r}], and start it.", options)
        self._tell(f"The database {alias!r} is migrated.", options)

    def _give_up(self, alias: str, reason: str, options: dict[str, Any]) -> NoReturn:
        """Ends the process with status 1 and one line: on the terminal, or with `--verbosity 0` in the logs."""
        text = f"The database {alias!r} was not migrated: {reason}"
        if options["verbosity"] > 0:
            raise CommandError(text)
        # A container that starts at `--verbosity 0` may write JSON logs: text on stderr would be a line that no
        # collector can parse.
        logger.error(text)
        sys.exit(1)

    def _tell(self, text: str, options: dict[str, Any]) -> None:
        """On the terminal or, where `--verbosity 0` leaves it to the logs, there."""
        if options["verbosity"] > 0:
            self.stdout.write(text)
            self.stdout.flush()
        else:
            logger.info(text)


def _lift_timeout(alias: str) -> None:
    # What ends a request's query must not end a migration half-way: a large table's index takes its time.
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # For this session alone, which ends with the command.
            cursor.execute("SET statement_timeout = 0")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds.") from None
