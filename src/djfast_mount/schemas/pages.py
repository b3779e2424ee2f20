"""A page of a list."""

from __future__ import annotations

from functools import cache
from typing import Any, Generic, TypeVar

from django.db.models import Model
from pydantic import BaseModel, create_model

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.declaring.declaration import declared, is_declared

__all__ = ["Page"]

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some of the items of a longer list: ``Page[CompanySchema]``, in OpenAPI ``CompanyPage``.

    Attributes:
        items: The items of this page, in the order of the list.
        next: What asks for the page after this one: a cursor or an offset. None: this is the last.
        total: How many items the whole list has. None: nobody has counted them.
    """

    items: list[T]
    next: str | None = None
    total: int | None = None

    def __class_getitem__(cls, parameters: Any) -> Any:
        if isinstance(parameters, type) and issubclass(parameters, Model):
            raise ConfigurationError(f"Page[] got {parameters!r}. Give a schema of it, as in Page[CompanySchema].")
        found: Any = super().__class_getitem__(parameters)
        return _named_page(found, parameters) if is_declared(parameters) else found


@cache
def _named_page(page: type[BaseModel], item: type) -> type[BaseModel]:
    # By a name of its own: pydantic would call the class after its parameters, and OpenAPI with it.
    return create_model(f"{declared(item).public_name}Page", __base__=page, __module__=item.__module__)
