from moving.settings import *  # noqa: F403

ROOT_URLCONF = "moving.notes.urls"
