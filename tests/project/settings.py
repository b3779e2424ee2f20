"""The settings of the project that the tests serve: SQLite in a file by default, PostgreSQL by DATABASE_URL."""

import os
import tempfile
from pathlib import Path

import dj_database_url

HERE = Path(__file__).parent
SECRET_KEY = "not a secret: these settings serve tests alone"
DEBUG = os.environ.get("TEST_DEBUG") == "1"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "project.urls"
FORCE_SCRIPT_NAME = os.environ.get("TEST_FORCE_SCRIPT_NAME")
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "djfast_mount",
    "djfast_mount.tokens",
    "project.shop",
    "project.library",
    "project.companies",
    "project.firm",
    "project.zoo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
_scratch = os.environ.get("TEST_SCRATCH") or tempfile.gettempdir()
DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{_scratch}/djfast-mount.sqlite3",
        conn_max_age=int(os.environ.get("TEST_CONN_MAX_AGE", "0")),
        conn_health_checks=os.environ.get("TEST_CONN_HEALTH_CHECKS") == "1",
    )
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # In a file, not in memory: the threads of the pool are to open connections of their own.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["TEST"] = {"NAME": f"{_scratch}/djfast-mount-test-{os.getpid()}.sqlite3"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("TEST_STATIC_ROOT")
MEDIA_ROOT = os.environ.get("TEST_MEDIA_ROOT", "")
# Many tests read the schema, and few are about who may.
DJFAST_MOUNT = {"docs_access": os.environ.get("TEST_DOCS_ACCESS", "public")}
CSRF_COOKIE_HTTPONLY = os.environ.get("TEST_CSRF_COOKIE_HTTPONLY") == "1"
USE_TZ = True
