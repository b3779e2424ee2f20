"""The bodies that routes take: JSON or a form for one row, JSON for several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Body, Form, HTTPException, Request
from pydantic import Field

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.scopes import Action
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.crud.query.fields import MOST_VALUES
from djfast_mount.crud.writing.changes import change_model
from djfast_mount.crud.writing.forms import form_body, needed_files, take_files
from djfast_mount.schemas.writing.keys import MOST_COMPOSITE

__all__ = ["body_of", "bulk_body_of", "format_check", "receive", "takes_several"]

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def body_of(resource: Resource, action: Action) -> Any:
    """Returns the annotation of the body of one row."""
    sent: Any = resource.bodies[action]
    if not resource.form:
        return Annotated[sent, Body()]
    form: Any = form_body(sent, new=action == "create", whole=action != "update")
    return Annotated[form, Form(media_type="multipart/form-data")]


def bulk_body_of(resource: Resource, action: Action) -> Any:
    """Returns the annotation of the body of several rows."""
    sent: Any = resource.bodies[action]
    item: Any = sent if action == "create" else change_model(sent, resource.model)
    # An empty list is a client's mistake, and the upper bound is one for the transaction that the request holds open.
    most = MOST_VALUES if len(resource.model._meta.pk_fields) == 1 else MOST_COMPOSITE
    return Annotated[list[item], Field(min_length=1, max_length=most), Body()]


def format_check(resource: Resource, action: Action, *, several: bool = False) -> Callable[[Request], None] | None:
    """Returns what refuses bodies of other formats than `action` takes, if anything does."""
    if resource.form and not several:
        return _check_form
    return _check_patch_format if action == "update" else None


def _check_patch_format(request: Request) -> None:
    """Raises HTTPException 415 for a body of another format of changes: only what its fields name is changed here."""
    # FastAPI takes every `+json` for JSON. A merge patch (RFC 7396) keeps of a nested object what it does not name, and
    # would be a success that lost it.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/merge-patch+json", "application/json-patch+json"):
        told = f"Send a change as application/json, and not as {kind}: each field in it has its whole new value."
        # RFC 5789, section 2.2.
        raise HTTPException(415, told, {"Accept-Patch": "application/json"})


def takes_several(resource: Resource) -> bool:
    """Whether several rows can be created: a file that each needs is in no JSON."""
    return not (resource.form and needed_files(resource.schema))


def receive(call: Call, body: Any) -> None:
    """Has the `body` of one row hold Django's files. Runs on the request thread.

    Raises: RequestValidationError.
    """
    if call.resource.form:
        take_files(body, call.resource.max_file_size)


def _check_form(request: Request) -> None:
    """Raises HTTPException 415 for a body that is no form."""
    # Starlette reads no fields from a body of another kind: a change would be answered, and nothing be changed.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and kind not in _FORMS:
        raise HTTPException(415, f"Send a form, as multipart/form-data, and not as {kind}.")
