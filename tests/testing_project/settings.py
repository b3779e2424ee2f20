"""The settings of a project whose tests are run in processes of their own, by Django's runner and by pytest.

TESTING_DATABASE  sqlite: two files; memory: SQLite in memory; else the URL of a PostgreSQL
TESTING_NAME      what tells the test databases of this run from those of others
TESTING_FOLDER    where files may be written
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

HERE = Path(__file__).parent
CHOICE = os.environ.get("TESTING_DATABASE", "memory")
NAME = os.environ.get("TESTING_NAME", "books")
FOLDER = Path(os.environ.get("TESTING_FOLDER", HERE))


def database(part: str) -> dict[str, Any]:
    if CHOICE == "memory":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / f"{part}.sqlite3"}
    if CHOICE == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / f"{part}.sqlite3",
            "TEST": {"NAME": FOLDER / f"test-{NAME}-{part}.sqlite3"},
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
        }
    # Each alias a name of its own: Django takes two with one name for one database.
    url = urlsplit(CHOICE)._replace(path="/postgres").geturl()
    return {**dj_database_url.parse(url), "TEST": {"NAME": f"test_{NAME}_{part}"}, "CONN_MAX_AGE": 60}


SECRET_KEY = "not a secret: these settings serve tests alone"
ALLOWED_HOSTS = ["testserver"]
ASGI_APPLICATION = "testing_project.asgi.app"
ROOT_URLCONF = "testing_project.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "djfast_mount",
    "testing_project.books",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": database("default"), "archive": database("archive")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
STATIC_ROOT = FOLDER / "collected"
STATICFILES_DIRS = [HERE / "static"]
MEDIA_URL = "media/"
MEDIA_ROOT = FOLDER / "media"
USE_TZ = True
# Django 6.1 asks for it.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
