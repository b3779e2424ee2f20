"""Settings for Django's own tests: SQLite in files, so that every thread has connections of its own."""

import os
from pathlib import Path
from typing import Any

_SCRATCH = Path(os.environ["FOREIGN_SCRATCH"])


def _database(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _SCRATCH / f"{name}.sqlite3",
        # Nothing here needs to outlive a power cut.
        "OPTIONS": {"timeout": 30, "init_command": "PRAGMA synchronous=OFF"},
        "TEST": {"NAME": _SCRATCH / f"test-{name}.sqlite3"},
    }


DATABASES = {"default": _database("default"), "other": _database("other")}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SECRET_KEY = "foreign"
USE_TZ = False
