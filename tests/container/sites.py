"""The images of the examples and of a new project, as a machine builds them that has secrets lying about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from container.image import REPOSITORY, Image, Images
from container.running import Container

CANARY = "a-secret-of-the-machine-that-builds"
KEY = "".join(chr(ord("!") + number) for number in range(80))

# Beside the code, in folders of their own, and in those of the code: APP is where the settings are.
SECRETS = (
    ".env",
    ".env.production",
    ".git/config",
    ".github/workflows/deploy.yml",
    ".aws/credentials",
    ".venv/lib/secret.py",
    "APP/.env",
    "APP/local_settings.py",
    "APP/tls.key",
    "APP/id_rsa",
    "APP/migrations/dump.sql",
    "APP/templates/APP/id_rsa",
    "APP/uploads/upload.py",
    "APP/templates/.env",
    "APP/templates/credentials.json",
    "APP/static/tls.key",
    "APP/static/.env",
    "APP/static/.well-known/secret.css",
    "APP/__pycache__/secret.pyc",
    "APP/tests/secrets.py",
    "backup.sql",
    "backup/db.sqlite3",
    "compose.override.yaml",
    "credentials.json",
    "db.sqlite3",
    "deploy/secrets.yaml",
    "id_rsa",
    "media/upload.py",
    "media/templates/upload.png",
    "secrets/tls.key",
    "secrets/tls.pem",
    "staticfiles/old.css",
    "terraform.tfstate",
    "wheels/credentials.json",
)
# What an image has to have of the app `notes`, though the example has nothing of the kind.
PUBLIC = (
    "notes/locale/de/LC_MESSAGES/django.mo",
    "notes/static/notes/fonts.woff2",
    "notes/static/notes/site.css",
    "notes/templates/notes/page.html",
    "notes/templatetags/notes.py",
)


def leavings() -> object:
    """For copytree: what work in the folder may have left there."""
    return shutil.ignore_patterns("__pycache__", "db.sqlite3*", "staticfiles", "wheels")


def built(images: Images, name: str, context: Path, app: str, wheels: Path) -> Iterator[Image]:
    """The image of the project in `context`, whose settings are in the folder `app`, with a wheel handed to it."""
    shutil.copytree(wheels, context / "wheels")
    public = PUBLIC if (context / "notes").exists() else ()
    for path in (*SECRETS, *public):
        file = context / path.replace("APP", app)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CANARY if path in SECRETS else "")
    image = images.build(name, context, "--build-arg", "BASE=localhost/base", SECRET_KEY=CANARY)
    yield Image(name, images.mount(image), images.inspect(image))


def example(name: str, folder: Path) -> Path:
    """A copy of an example, in which a build finds what it finds in a clone."""
    shutil.copytree(REPOSITORY / "examples" / name, folder / name, ignore=leavings())  # type: ignore[arg-type]
    return folder / name


def start(image: Image, folder: Path, database: str, **env: str) -> Container:
    """A container that migrates, and logs as JSON where its settings know of that."""
    given = {"DATABASE_URL": database, "SECRET_KEY": KEY, "ALLOWED_HOSTS": "127.0.0.1", "HTTPS": "0", "MIGRATE": "1"}
    return Container(image.root, image.config, folder, **{**given, "LOG_FORMAT": "json", **env})
