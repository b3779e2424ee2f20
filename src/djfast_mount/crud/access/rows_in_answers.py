"""The related rows that are shown: those that the caller may see."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch

from djfast_mount.crud.access.visibility import Visibility
from djfast_mount.schemas.declaring.declaration import Shape

__all__ = ["visible_relations"]


def visible_relations(shape: Shape, visibility: Visibility, path: str = "") -> list[Prefetch[Any, Any]]:
    """Returns the prefetches that leave out related rows which may not be seen."""
    found: list[Prefetch[Any, Any]] = []
    for member in shape.relations():
        model = member.field.related_model
        name = f"{path}{member.source}"
        # Not `restricts()`: rows that are hidden only because the row above is hidden need no query of their own here,
        # for the row above is shown.
        if visibility.hides(model):
            found.append(Prefetch(name, queryset=visibility.rows(model)))
        if member.shape is not None:
            found += visible_relations(member.shape, visibility, f"{name}__")
    return found
