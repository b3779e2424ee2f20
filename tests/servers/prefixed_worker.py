"""gunicorn's worker with a root_path: gunicorn has no option for it, uvicorn-worker asks for a subclass."""

from typing import ClassVar

from uvicorn_worker import UvicornWorker


class PrefixedWorker(UvicornWorker):
    CONFIG_KWARGS: ClassVar = {**UvicornWorker.CONFIG_KWARGS, "root_path": "/pre"}
