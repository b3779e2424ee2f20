from pathlib import Path

from moving.settings import *  # noqa: F403

ROOT_URLCONF = "moving.notes.urls"
STATICFILES_DIRS = [Path(__file__).parent / "built"]
