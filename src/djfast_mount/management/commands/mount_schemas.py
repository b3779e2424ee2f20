"""`manage.py mount_schemas`: how the project's schemas read, a schema to start from, and what has drifted."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from djfast_mount.checks.schema_modules import load_schemas
from djfast_mount.management.find_application import load_project
from djfast_mount.schemas.reading.ways import explain
from djfast_mount.schemas.starting_schemas import all_schemas, draft, unsaid, unusable

__all__ = ["Command"]


class Command(BaseCommand):
    """Explains the schemas of the project, or writes one for a model."""

    help = (
        "Says how each ModelSchema of the project reads its rows; writes a schema to start from for the models named."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("models", nargs="*", help="app_label.Model: a schema for each is written to the output.")
        parser.add_argument(
            "--check",
            action="store_true",
            help="Fails where a schema does not fit its model, or a column is in no schema of the model.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["models"]:
            self.stdout.write(draft(*map(_model, options["models"])))
            return
        faults = [str(error) for _, error in load_schemas()]
        # The project's asgi.py imports the same schemas, and would stop at the first fault of many.
        if not faults:
            load_project()
        schemas = sorted(all_schemas(), key=lambda schema: (schema.__module__, schema.__qualname__))
        if options["check"]:
            self._check([*faults, *unusable(schemas)], unsaid(schemas))
            return
        for schema in schemas:
            self.stdout.write(explain(schema))
        if faults:
            raise CommandError("\n".join(faults))

    def _check(self, faults: list[str], missing: dict[Any, list[str]]) -> None:
        for model, names in missing.items():
            faults.append(
                f"{model._meta.label}: {', '.join(names)} {'is' if len(names) == 1 else 'are'} in no schema. "
                "Name it in a schema, or in the Meta.exclude of one."
            )
        if faults:
            raise CommandError("\n".join(faults))
        self.stdout.write(self.style.SUCCESS("Every schema fits its model."))


def _model(label: str) -> Any:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise CommandError(f"{label!r} is no model: {error}") from error
