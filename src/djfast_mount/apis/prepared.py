"""What other rooms do with each FastAPI that `mount()` serves: theirs to add to, so that nothing unused is loaded."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI

__all__ = ["preparations"]

preparations: list[Callable[[FastAPI], None]] = []
"""Each is called with every FastAPI at start-up, once its routes are there, and must do nothing the second time."""
