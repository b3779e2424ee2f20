"""Collections of garbage that look at new objects alone."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["new_objects_alone"]


@contextlib.contextmanager
def new_objects_alone() -> Iterator[None]:
    """Within it, collections and `gc.get_objects()` see only what has been made in it.

    A long run of tests has a million objects: a collection of all takes half a second, and some tests want ten. A cycle
    of new objects is found as ever, since what is frozen only counts as a reference from outside.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
