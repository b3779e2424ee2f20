"""Models as REST resources: `ModelRouter`, and what its arguments are made of."""

from djfast_mount.crud.access import Access, ActionScopes
from djfast_mount.crud.call import Call
from djfast_mount.crud.deletion import SoftDelete
from djfast_mount.crud.listing import Listing
from djfast_mount.crud.paging import Cursor, LimitOffset, PageNumber
from djfast_mount.crud.router import ModelRouter, every_row

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
