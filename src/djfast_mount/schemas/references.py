"""A schema that says what it leads to."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from django.db.models import Model
from pydantic import computed_field

from djfast_mount.schemas.declaring.declaration import declared
from djfast_mount.schemas.model_schema import ModelSchema

__all__ = ["Reference"]

M = TypeVar("M", bound=Model)


class Reference(ModelSchema[M], Generic[M]):
    """What is shown of a row in the place of the row: its key, and by ``Meta.rel`` what a client finds it at.

    An answer has ``$rel``, the text of ``Meta.rel``, and ``$rel_params``, the fields by name.
    """

    @computed_field(alias="$rel")  # type: ignore[prop-decorator]
    @property
    def rel_(self) -> str:
        """What it leads to."""
        return declared(type(self)).options.rel or declared(type(self)).public_name

    @computed_field(alias="$rel_params")  # type: ignore[prop-decorator]
    @property
    def rel_params_(self) -> dict[str, Any]:
        """What tells which one is meant."""
        return {name: getattr(self, name) for name in type(self).model_fields}
