"""What other rooms do with each FastAPI that `mount()` serves: theirs to add to, so that nothing unused is loaded."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI

__all__ = ["preparations"]

preparations: list[Callable[[FastAPI | APIRouter], None]] = []
"""Each is called with every FastAPI, and every APIRouter that is mounted, once its routes are there. A second call must
change nothing."""
