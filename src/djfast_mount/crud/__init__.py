"""Models as REST resources: `ModelRouter`, and what its arguments are made of."""

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.scopes import Access, ActionScopes
from djfast_mount.crud.pages.cursors import Cursor
from djfast_mount.crud.pages.listing import Listing
from djfast_mount.crud.pages.paging import LimitOffset, PageNumber
from djfast_mount.crud.router import ModelRouter, every_row
from djfast_mount.crud.writing.deletion import SoftDelete

__all__ = [
    "Access",
    "ActionScopes",
    "Call",
    "Cursor",
    "LimitOffset",
    "Listing",
    "ModelRouter",
    "PageNumber",
    "SoftDelete",
    "every_row",
]
