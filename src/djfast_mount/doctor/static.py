"""Static files: is what was collected what is in the apps."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core import checks
from django.core.checks import CheckMessage

from djfast_mount.doctor.target import Target

__all__ = ["probe_static"]

_SHOWN = 3


def probe_static(target: Target) -> Iterator[CheckMessage]:
    """W121, W122: in production. Reads every static file of the project."""
    root = settings.STATIC_ROOT
    if (
        not target.production
        or not root
        or not Path(root).is_dir()
        or not apps.is_installed("django.contrib.staticfiles")
    ):
        return
    sources = dict(_sources())
    manifest = staticfiles_storage.hashed_files if isinstance(staticfiles_storage, ManifestFilesMixin) else None
    if manifest is not None and (missing := sorted(set(sources) - set(manifest))):
        yield checks.Warning(
            f"The manifest of static files lacks {_some(missing)}: a template that names one of them is a 500.",
            hint="Run `manage.py collectstatic`.",
            id="djfast_mount.W121",
        )
        return
    stale = sorted(path for path, source in sources.items() if _differs(source, Path(root) / path))
    if stale:
        yield checks.Warning(
            f"settings.STATIC_ROOT is stale: {_some(stale)} is not what the apps have.",
            hint="Run `manage.py collectstatic`.",
            id="djfast_mount.W122",
        )


def _sources() -> Iterator[tuple[str, Path]]:
    """Each path with the file that the finders take for it: the first."""
    seen = set()
    for finder in get_finders():
        for path, storage in finder.list([]):
            place = f"{storage.prefix}/{path}" if getattr(storage, "prefix", None) else path
            if place not in seen:
                seen.add(place)
                yield place, Path(storage.path(path))


def _differs(source: Path, collected: Path) -> bool:
    return not collected.is_file() or not filecmp.cmp(source, collected, shallow=False)


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(map(repr, paths[:_SHOWN])) + more
