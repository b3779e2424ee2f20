"""Which file answers which path, and with which headers: WhiteNoise's table, filled with ASGI apps.

All that WhiteNoise decides, Cache-Control too, stays with its own code and settings. Overridden is how files are found
safely, and what an entry of the table is.

Django caches a relative STATIC_URL together with the script prefix of its first reader, in the settings and again in
the storage, and at start-up no request is there that could tell the prefix. So the table reads settings as they are
written, has a storage of its own, and leaves no reading behind.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.header import Header
from urllib.parse import urlparse

from django.conf import STATICFILES_STORAGE_ALIAS, UserSettingsHolder, settings
from django.contrib.staticfiles import finders
from django.core import mail
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.storage import FileSystemStorage, Storage, storages
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]
from whitenoise.responders import (  # type: ignore[import-untyped]
    MissingFileError,
    NotARegularFileError,
    StaticFile,
)

from djfast_mount.headers import missing_headers
from djfast_mount.security.djangos_middleware import file_headers
from djfast_mount.staticfiles.contents import FileMemory, RawHeaders, Variant
from djfast_mount.staticfiles.responses import FileResponse, Files, RedirectResponse

__all__ = ["FileTable", "static_storage", "urls_left_open"]

logger = logging.getLogger("djfast_mount")

_URL_SETTINGS = ("MEDIA_URL", "STATIC_URL")


@contextlib.contextmanager
def urls_left_open() -> Iterator[None]:
    """Settings that are read inside keep no script prefix: the next code that reads STATIC_URL decides on it."""
    cache = vars(settings)
    before = {name: cache[name] for name in _URL_SETTINGS if name in cache}
    try:
        yield
    finally:
        for name in _URL_SETTINGS:
            cache.pop(name, None)
        cache.update(before)


class FileTable(WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise's table: which file answers which path, and with which headers. Its entries are ASGI apps.

    Args:
        memory: Keeps the contents of the small ones among the files that are known from the start.
        packaged: A folder that is served below the static prefix, under its own name. A project's own files win.
        alone: Whether nothing but `packaged` is served.
        django_prefix: The prefix of Django's half, which a relative STATIC_URL follows.
    """

    files: dict[str, FileResponse | RedirectResponse]

    def __init__(
        self, memory: FileMemory, packaged: str | None = None, *, alone: bool = False, django_prefix: str = ""
    ) -> None:
        self._secured = file_headers(is_secure=False)
        self._always = tuple(self._secured.items())
        self._known_files = Files(self._variants, memory, self._always)
        self._storage = static_storage()
        self._roots: tuple[str, ...] = ()
        self._prefixes: tuple[str, ...] = ()
        own = _settings_of_nothing(django_prefix) if alone else _settings_as_written(django_prefix)
        super().__init__(settings=own)
        self._packaged, self._root = packaged, getattr(own, "WHITENOISE_ROOT", None)
        if packaged is not None:
            self._add_packaged(packaged)
        if self.autorefresh:
            prefixes = {prefix for _, prefix in self.directories} | (
                {self.static_prefix} if self.use_finders else set()
            )
            self._prefixes = tuple(prefixes)
            self._roots = _real(root for root, _ in self.directories) + _real(_folders(_known_storages()))
        elif (
            not alone and not self.static_root and not self.use_finders and isinstance(self._storage, FileSystemStorage)
        ):
            _missing("STATIC_ROOT is not set: no static files are served. Set it, and run collectstatic.")

    def _add_packaged(self, folder: str) -> None:
        prefix = f"{self.static_prefix}{os.path.basename(folder)}/"
        if self.autorefresh:
            self.directories.append((os.path.join(folder, ""), prefix))
        else:
            own, self.files = self.files, {}
            self.add_files(folder, prefix)
            self.files |= own

    def paths(self) -> Iterator[str]:
        """Yields what is served, as a route table is to show it: the static prefix, and each entry of WHITENOISE_ROOT.

        It reads that folder.
        """
        if self.static_root or self.use_finders:
            yield f"{self.static_prefix}{{path:path}}"
        elif self._packaged is not None:
            yield f"{self.static_prefix}{os.path.basename(self._packaged)}/{{path:path}}"
        if self._root and os.path.isdir(self._root):
            for entry in sorted(os.scandir(self._root), key=lambda entry: entry.name):
                yield f"/{entry.name}/{{path:path}}" if entry.is_dir() else f"/{entry.name}"

    def could_find(self, path: str) -> bool:
        """Whether autorefresh has to ask the disk for `path`, which the event loop must not do."""
        if "\0" in path or (path.endswith("/") and not self.index_file):
            return False
        return path.startswith(self._prefixes)

    def find(self, *paths: str) -> FileResponse | RedirectResponse | None:
        """What answers the first of `paths` that is a file's, by what is on the disk now. For a worker thread."""
        for path in paths:
            with contextlib.suppress(NotARegularFileError):
                found = self._find_now(path)
                if found is not None:
                    return found
        return None

    def _find_now(self, path: str) -> FileResponse | RedirectResponse | None:
        if self.autorefresh:
            return self.find_file(path) if self.could_find(path) else None
        known = self.files.get(path)
        return self.get_static_file(known.path, path) if isinstance(known, FileResponse) else known

    def add_files(self, root: str | os.PathLike[str], prefix: str | None = None) -> None:
        """As WhiteNoise's, but a missing folder is logged and not warned of: warnings may be errors."""
        if not self.autorefresh and not os.path.isdir(root):
            _missing("There is no folder %r to serve static files from. Did collectstatic run?", os.fspath(root))
            return
        super().add_files(root, prefix)

    def update_files_dictionary(self, root: str, prefix: str) -> None:
        """As WhiteNoise's, but what cannot be served is left out: it would stop the server from starting."""
        found = dict(_scan(root))
        for path in found:
            self.add_file_to_dictionary(prefix + path[len(root) :].replace("\\", "/"), path, stat_cache=found)

    def candidate_paths_for_url(self, url: str) -> Iterator[str]:
        """As WhiteNoise's, but a path that leads out of a finder's folder is nobody's."""
        with contextlib.suppress(SuspiciousOperation):
            yield from super().candidate_paths_for_url(url)

    def get_static_file(
        self, path: str, url: str, stat_cache: Mapping[str, os.stat_result] | None = None
    ) -> FileResponse:
        """As WhiteNoise's, made an ASGI app. Raises MissingFileError."""
        found = super().get_static_file(path, url, stat_cache)
        if not self._is_inside(path):
            raise MissingFileError(path)
        if stat_cache is not None:
            times = tuple(stat_cache[place].st_mtime_ns for _, place, _ in found.alternatives)
            return FileResponse(path, found, times, self._known_files)
        made = list(self._variants(path, found, [_modified_ns(place) for _, place, _ in found.alternatives]))
        # Nobody has noted the times of the files, so they may change at any moment: nothing is kept in memory.
        return FileResponse(path, made, (), Files(lambda _, made, __: made, FileMemory(0), self._always))

    def redirect(self, from_url: str, to_url: str) -> RedirectResponse:
        """As WhiteNoise's, made an ASGI app."""
        headers = dict(super().redirect(from_url, to_url).response.headers)
        location = headers.pop("Location")
        # From "" to "/": the root of an outer prefix, which is not known yet.
        raw = self._with_security(_raw(headers.items()))
        return RedirectResponse(None if location == "/" else location.encode(), raw, self._always)

    def get_static_url(self, name: str) -> str | None:
        """As WhiteNoise's, from a storage of the table's own: Django's would keep the URLs of start-up."""
        if self._storage is None:
            return None
        try:
            return self._storage.url(name)
        except ValueError:
            return None

    def _with_security(self, headers: RawHeaders) -> RawHeaders:
        return [*headers, *missing_headers(dict(headers), self._secured)]

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(path) if self.autorefresh else path
        if not self.autorefresh or real.startswith(self._roots):
            return True
        return real.startswith(self._listed_roots)

    @functools.cached_property
    def _listed_roots(self) -> tuple[str, ...]:
        # Finders of other packages have no attribute that tells where they look. Listing all their files does, but it
        # may take long.
        return _real(_folders(storage for finder in finders.get_finders() for _, storage in finder.list(None)))

    def _variants(self, path: str, found: StaticFile, times: Sequence[int]) -> Iterator[Variant]:
        """The representations of a file, the smallest first, to the file itself. Larger ones are of no use.

        Args:
            found: The file, as WhiteNoise has found it.
            times: When each of its alternatives was modified.
        """
        not_modified, of_security = _raw(found.not_modified_response.headers), file_headers(is_secure=True)
        for (_, place, headers), modified_ns in zip(found.alternatives, times, strict=True):
            if not self._is_inside(place):
                continue
            fields = dict(headers)
            size = fields["Content-Length"]
            coding = "identity" if place == path else fields["Content-Encoding"]
            raw = self._with_security(_raw((name, value) for name, value in headers if name != "Content-Length"))
            # Those of the 200: a cache that keeps the file takes the values of a 304 over (RFC 9111, section 3.2).
            kept = [*not_modified, *(pair for pair in raw if pair[0] in of_security)]
            yield Variant(
                place,
                coding,
                int(size),
                modified_ns,
                [*_tagged(raw, coding), (b"content-length", size.encode())],
                _tagged(kept, coding),
            )
            if place == path:
                return


def _missing(message: str, *values: str) -> None:
    # Django's runner of tests turns DEBUG off, and so the finders, in a project whose files were never collected.
    # `outbox` is there, says its documentation, while tests run.
    logger.log(logging.DEBUG if hasattr(mail, "outbox") else logging.WARNING, message, *values)


def _raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    return [(name.lower().encode("latin-1"), _raw_value(value)) for name, value in headers]


def _raw_value(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        # As Django does with a response's headers: a headers function may well name a file.
        return Header(value, "utf-8", maxlinelen=sys.maxsize).encode().encode("ascii")


def _tagged(headers: RawHeaders, coding: str) -> RawHeaders:
    """The headers with an entity tag of the variant's own (RFC 9110, section 8.8.3.3); WhiteNoise has one for all."""
    if coding == "identity":
        return headers
    ending = b'-%s"' % coding.encode()
    # A headers function may have set one without quotes, which is none.
    return [
        (name, value[:-1] + ending if name == b"etag" and value.endswith(b'"') else value) for name, value in headers
    ]


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError as error:
        raise MissingFileError(path) from error


def _settings_as_written(django_prefix: str) -> UserSettingsHolder:
    # A copy of Django's lazy settings is the plain object behind them: it adds no prefix, and caches nothing.
    written = copy.copy(settings)
    own = UserSettingsHolder(written)
    if hasattr(written, "WHITENOISE_STATIC_PREFIX"):
        return own
    if written.STATIC_URL:
        own.WHITENOISE_STATIC_PREFIX = _prefix(written.STATIC_URL, written.FORCE_SCRIPT_NAME or "", django_prefix)
    else:
        # Without STATIC_URL there is no place for static files; WhiteNoise would put them at the root of the site.
        own.STATIC_ROOT = None
        own.WHITENOISE_USE_FINDERS = False
    return own


def _settings_of_nothing(django_prefix: str) -> UserSettingsHolder:
    own = _settings_as_written(django_prefix)
    own.STATIC_ROOT = own.WHITENOISE_ROOT = None
    own.WHITENOISE_USE_FINDERS = own.WHITENOISE_AUTOREFRESH = False
    return own


def _prefix(static_url: str, script_name: str, django_prefix: str) -> str:
    path = urlparse(static_url).path
    if django_prefix and not static_url.startswith(("http://", "https://", "/")):
        return f"{django_prefix}/{path}"  # As Django itself puts its script name in front of it.
    outer = script_name.rstrip("/").removesuffix(django_prefix)
    inside = bool(outer) and path.startswith(outer + "/")
    return path[len(outer) :] if inside else path


def static_storage() -> Storage | None:
    """Returns a storage of static files of the caller's own, or None where the settings name no usable one.

    Call it within `urls_left_open()`.
    """
    try:
        storage = storages.create_storage(settings.STORAGES[STATICFILES_STORAGE_ALIAS])
    except (ImproperlyConfigured, KeyError):
        # Without a usable one no name counts as hashed. Django says what is wrong with it when it is used.
        return None
    # Computed now, for the reading caches MEDIA_URL.
    getattr(storage, "base_url", None)
    return storage


def _known_storages() -> Iterator[Storage]:
    for finder in finders.get_finders():
        if isinstance(finder, finders.FileSystemFinder | finders.AppDirectoriesFinder):
            yield from finder.storages.values()
        elif isinstance(finder, finders.BaseStorageFinder) and finder.storage is not None:
            yield finder.storage


def _folders(among: Iterable[Storage]) -> set[str]:
    folders = (getattr(storage, "location", None) for storage in among)
    return {folder for folder in folders if folder}


def _real(folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(os.path.realpath(folder).rstrip(os.sep) + os.sep for folder in folders)


def _scan(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files below `folder`, through symlinks too, with what the disk says of them."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        logger.warning("Static files in %r are left out: %s.", folder, error)
        return
    for entry in entries:
        try:
            found = entry.stat()
        except OSError as error:
            logger.warning("The static file %r is left out: %s.", entry.path, error)
            continue
        if stat.S_ISREG(found.st_mode):
            yield entry.path, found
        elif stat.S_ISDIR(found.st_mode) and not _leads_back(entry):
            yield from _scan(entry.path)


def _leads_back(entry: os.DirEntry[str]) -> bool:
    above = os.path.join(os.path.realpath(os.path.dirname(entry.path)), "")
    return entry.is_symlink() and above.startswith(os.path.join(os.path.realpath(entry.path), ""))
