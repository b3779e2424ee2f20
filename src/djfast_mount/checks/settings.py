"""System checks: what the settings alone tell, before anything is served.

E0.. are errors, W0.. warnings; W02.. are asked for with ``manage.py check --deploy`` only. What has to be looked for in
the running configuration is `manage.py mount_doctor`'s to find, which shows these checks too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage

from djfast_mount.checks.application import check_application, check_deployed_application
from djfast_mount.checks.schema_modules import check_schemas
from djfast_mount.conf import DEFAULT_THREADS, OPTIONS, SETTING, wrong_value
from djfast_mount.spelling import did_you_mean

__all__ = ["pool_size", "register_checks"]

_WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
_LOGIN_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)
# Apps with a runserver of their own. Of two commands with one name, Django takes that of the app which INSTALLED_APPS
# lists first (django.core.management).
_OTHER_RUNSERVERS = ("django.contrib.staticfiles", "whitenoise.runserver_nostatic", "daphne", "channels")
_POSTGRESQL = "django.db.backends.postgresql"
_SQLITE = "django.db.backends.sqlite3"


def register_checks() -> None:
    """Registers the checks with Django. A second call does nothing."""
    for check in (check_options, check_middleware, check_commands, check_databases, check_application, check_schemas):
        # With a tag of ours, so that `manage.py check --tag djfast_mount` asks these alone.
        checks.register(check, "djfast_mount")
    for check in (check_deployment, check_deployed_application):
        # As Django's own checks of security: what is right in development is not to warn each time.
        checks.register(check, "djfast_mount", deploy=True)


def _options() -> dict[str, Any]:
    # If it is not a dict, E001 reports that. The other checks must not end in a traceback over it.
    options = getattr(settings, SETTING, {})
    return options if isinstance(options, dict) else {}


def check_options(**_: object) -> list[CheckMessage]:
    """E001 to E003: ``settings.DJFAST_MOUNT`` is a dict of options that exist, each of its kind."""
    options = getattr(settings, SETTING, {})
    if not isinstance(options, dict):
        hint = f'Write {SETTING} = {{"threads": 8}}, or leave it out.'
        return [checks.Error(f"settings.{SETTING} is {options!r}, not a dict.", hint=hint, id="djfast_mount.E001")]
    return [message for key, value in options.items() for message in _check_option(key, value)]


def _check_option(key: object, value: object) -> Iterator[CheckMessage]:
    if key not in OPTIONS:
        hint = did_you_mean(key, OPTIONS, f"The options are {', '.join(sorted(OPTIONS))}.")
        message = f"settings.{SETTING} has the key {key!r}, which is no option."
        yield checks.Error(message, hint=hint, id="djfast_mount.E002")
    elif (words := wrong_value(str(key), value)) is not None:
        message = f"settings.{SETTING}[{key!r}] is {value!r}."
        yield checks.Error(message, hint=f"Give {words}.", id="djfast_mount.E003")


def check_middleware(**_: object) -> Iterator[CheckMessage]:
    """E004, E005, W001: what the other settings say fits what `mount()` does."""
    script_name = settings.FORCE_SCRIPT_NAME
    # Django puts the text in front of every path that it reverses, and adds no slash.
    if script_name and not script_name.startswith("/"):
        yield checks.Error(
            f"settings.FORCE_SCRIPT_NAME is {script_name!r}, which no path begins with.",
            hint=f"Write {'/' + script_name!r}.",
            id="djfast_mount.E004",
        )
    if "djfast_mount.auth.session" in _options().get("authentication", ()):
        for name in _LOGIN_MIDDLEWARE:
            if name not in settings.MIDDLEWARE:
                yield checks.Error(
                    f"settings.{SETTING}['authentication'] lists the session, which logs nobody in without {name}.",
                    hint=f"Add {name!r} to settings.MIDDLEWARE, or take the session out of the list.",
                    id="djfast_mount.E005",
                )
    if _WHITENOISE in settings.MIDDLEWARE and _options().get("static", True):
        yield checks.Warning(
            "WhiteNoiseMiddleware is in settings.MIDDLEWARE, and mount() has answered every static file before it.",
            hint=f"Take {_WHITENOISE!r} out: it costs time and has nothing left to do.",
            id="djfast_mount.W001",
        )


def check_commands(**_: object) -> list[CheckMessage]:
    """W002: `manage.py runserver` is the one that serves the API too."""
    installed = list(settings.INSTALLED_APPS)
    ours = next((place for place, name in enumerate(installed) if _is_ours(name)), len(installed))
    first = [name for name in installed[:ours] if name.startswith(_OTHER_RUNSERVERS)]
    if not first:
        return []
    return [
        checks.Warning(
            f"{first[0]!r} stands above 'djfast_mount' in settings.INSTALLED_APPS, so `manage.py runserver` is not the "
            "one that serves the API.",
            hint="Put 'djfast_mount' at the top of the list.",
            id="djfast_mount.W002",
        )
    ]


def _is_ours(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] == "djfast_mount"


def check_databases(**_: object) -> Iterator[CheckMessage]:
    """W003, W004: connections that threads keep are looked at before they are used, and there are enough of them."""
    threads = _options().get("threads") or DEFAULT_THREADS
    for alias, database in settings.DATABASES.items():
        if not _is_server(database):
            continue
        # None, which keeps connections for ever, is meant too.
        if database.get("CONN_MAX_AGE", 0) != 0 and not database.get("CONN_HEALTH_CHECKS"):
            yield checks.Warning(
                f"The database {alias!r} keeps its connections and does not check them: after a restart of the "
                "database each thread's first request fails.",
                hint=f'Set DATABASES[{alias!r}]["CONN_HEALTH_CHECKS"] = True.',
                id="djfast_mount.W003",
            )
        most = pool_size(database)
        if most is not None and most < threads:
            yield checks.Warning(
                f"The connection pool of the database {alias!r} has room for {most} connections, and mount() runs "
                f"{threads} threads, which wait for one another there.",
                hint=f'Set DATABASES[{alias!r}]["OPTIONS"]["pool"] = {{"max_size": {threads}}}, or threads to {most}.',
                id="djfast_mount.W004",
            )


def _is_server(database: Mapping[str, Any]) -> bool:
    return database.get("ENGINE", "") not in ("", "django.db.backends.dummy", _SQLITE)


def pool_size(database: Mapping[str, Any]) -> int | None:
    """Returns the most connections of Django's own pool for the database; None where it has none."""
    pool = database.get("OPTIONS", {}).get("pool")
    if not pool:
        return None
    given = pool if isinstance(pool, dict) else {}
    # psycopg_pool's own rule: min_size is 4, and max_size is min_size where it is not given.
    return int(given.get("max_size") or given.get("min_size", 4))


def check_deployment(**_: object) -> Iterator[CheckMessage]:
    """W020 to W023, with ``--deploy``: what is well in development and not in production."""
    if _options().get("static", True):
        yield from _check_static_root()
    if _options().get("docs_access") == "public":
        yield checks.Warning(
            f"settings.{SETTING}['docs_access'] is 'public': everybody can read the API's docs and schema.",
            hint="Leave it out: with DEBUG off the docs are then for staff alone. None removes them.",
            id="djfast_mount.W021",
        )
    for alias, database in settings.DATABASES.items():
        if database.get("ENGINE") == _POSTGRESQL:
            yield from _check_timeouts(alias, database.get("OPTIONS", {}))


def _check_static_root() -> Iterator[CheckMessage]:
    root = settings.STATIC_ROOT
    if root and Path(root).is_dir() and any(Path(root).iterdir()):
        return
    met = f"is {str(root)!r}, where there are no files" if root else "is not set"
    yield checks.Warning(
        f"settings.STATIC_ROOT {met}: without DEBUG no static file is served.",
        hint='Set it to a folder, such as BASE_DIR / "staticfiles", and run `manage.py collectstatic` when you deploy.',
        id="djfast_mount.W020",
    )


def _check_timeouts(alias: str, options: Mapping[str, Any]) -> Iterator[CheckMessage]:
    if "statement_timeout" not in str(options.get("options", "")):
        yield checks.Warning(
            f"The database {alias!r} has no statement_timeout: a query that never ends holds its thread for ever.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"]["options"] = "-c statement_timeout=30s".',
            id="djfast_mount.W022",
        )
    if not options.get("connect_timeout"):
        yield checks.Warning(
            f"The database {alias!r} has no connect_timeout: when its host does not answer, threads wait for minutes.",
            hint=f'Set DATABASES[{alias!r}]["OPTIONS"]["connect_timeout"] = 5.',
            id="djfast_mount.W023",
        )
