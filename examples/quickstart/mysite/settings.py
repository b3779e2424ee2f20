"""The settings, read from the environment.

Nothing has to be set to try the project with DEBUG=1. In production set SECRET_KEY and ALLOWED_HOSTS, DATABASE_URL
for PostgreSQL, HTTPS=1 where TLS ends in front of this process, and run `manage.py collectstatic`.
"""

import os
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from djfast_mount.logs import log_to_stdout
from djfast_mount.options import Options

BASE_DIR = Path(__file__).resolve().parent.parent


def flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "on", "true", "yes"}


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in (os.environ.get(name) or default).split(",") if word.strip()]


DEBUG = flag("DEBUG")
SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY is not set. Set it to a long random string, or DEBUG=1 to try things.")
    SECRET_KEY = "the key of a demonstration, which DEBUG=1 alone accepts"

ALLOWED_HOSTS = words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")
# Behind a proxy that forwards /some/prefix without stripping it. See docs/deployment.md of djfast_mount.
FORCE_SCRIPT_NAME = os.environ.get("FORCE_SCRIPT_NAME") or None

HTTPS = flag("HTTPS")
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 3600 if HTTPS else 0
# HSTS for subdomains, and for good in the browsers' preload list, are promises about more than this site.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

try:
    _drain = float(os.environ.get("DRAIN") or 0)
except ValueError:
    raise ImproperlyConfigured(f"DRAIN is {os.environ['DRAIN']!r}. Give a number of seconds.") from None
# Streams of events have no end: the process has one, eight seconds after SIGTERM. A container is killed after ten.
# DRAIN seconds before that a balancer is told by /readyz to send no more requests.
DJFAST_MOUNT: Options = {"grace": 8, "drain": _drain}

INSTALLED_APPS = [
    "djfast_mount",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "notes",
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
ROOT_URLCONF = "mysite.urls"
ASGI_APPLICATION = "mysite.asgi.app"
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

try:
    _database = dj_database_url.parse(
        os.environ.get("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'db.sqlite3'}",
        conn_max_age=60,
        conn_health_checks=True,
    )
except ValueError:
    # Without the cause, since the URL may hold a password.
    raise ImproperlyConfigured(
        "DATABASE_URL is not the URL of a database. Write it as postgres://user@host:5432/name, with the password in "
        "PGPASSWORD, or percent-encode the password."
    ) from None
DATABASES = {"default": _database}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue up instead of failing with "database is locked", and readers do not wait for them.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # A host that does not answer, or a query that never ends, holds no thread for longer.
    DATABASES["default"].setdefault("OPTIONS", {}).update(connect_timeout=5, options="-c statement_timeout=30s")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT") or BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}

# Of a container, json for what collects logs. Without it, as Django and the server have it.
if LOG_FORMAT := os.environ.get("LOG_FORMAT"):
    LOGGING = log_to_stdout(LOG_FORMAT)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
