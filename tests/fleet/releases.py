"""Releases of a site that runs: each has a migration that takes its time, and for a part of it holds the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from fleet.instances import Fleet
from quickstart_site import QUICKSTART

SLOW = 12  # seconds in which the migration holds no lock
LOCKED = 2  # seconds in which requests that need the table wait for it
MIGRATION = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [{after!r}]
    operations = [
        migrations.RunSQL("SELECT pg_sleep({slow})"),
        migrations.RunSQL("ALTER TABLE notes_note ADD COLUMN release_{number} integer"),
        migrations.RunSQL("SELECT pg_sleep({locked})"),
    ]
"""


class Releases:
    """The migrations so far, in a package in `folder`, which is on the instances' path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "releases" / "migrations"
        self._folder.mkdir(parents=True)
        for each in (self._folder.parent, self._folder):
            (each / "__init__.py").touch()
        self._last = ("notes", "0001_initial")
        self.number = 0

    def migrate(self, fleet: Fleet) -> subprocess.Popen[Any]:
        """Add a migration, and begin to apply it. The process that does is returned, and instances run on."""
        self.number += 1
        name = f"{self.number:04}_slow"
        text = MIGRATION.format(after=self._last, slow=SLOW, number=self.number, locked=LOCKED)
        (self._folder / f"{name}.py").write_text(text)
        self._last = ("releases", name)
        command = [sys.executable, "manage.py", "mount_migrate"]
        return subprocess.Popen(command, cwd=QUICKSTART, env=fleet.env, stdout=subprocess.PIPE, text=True)
