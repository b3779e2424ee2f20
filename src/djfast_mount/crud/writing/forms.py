"""Bodies that are forms: the fields of a body as parts of ``multipart/form-data``, with the files of the model.

1. A part that is no single value, a nested row or JSON, holds JSON.
2. A file is validated by the form field of its model field, as a ModelForm does it, and by the model's validators.
3. An empty part counts as not sent, which is FastAPI's rule. ``<name>-clear`` takes a file away, which is Django's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, Union

from django.core.exceptions import SuspiciousFileOperation, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import models
from django.template.defaultfilters import filesizeformat
from fastapi import UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import MISSING, BaseModel, Field, Json, create_model

from djfast_mount.schemas.declaring.declaration import declared, model_field, source_of
from djfast_mount.schemas.declaring.mapping import orm_of
from djfast_mount.schemas.writing.slots import Slot, keep_plan, may_be_left_out, plan_of

__all__ = ["form_body", "needed_files", "take_files"]

_CLEAR = "clear_"
# Its fields hold lists, ranges and mappings.
_POSTGRES = "django.contrib.postgres."


def _file_slots(schema: Any) -> list[Slot]:
    """Returns the slots of the files that a form of `schema` may hold: those that are neither read-only nor skipped."""
    declaration = declared(schema)
    found = []
    for name, info in {**schema.model_fields, **declaration.write_only}.items():
        if name in declaration.options.read_only or orm_of(info).skipped:
            continue
        field, _ = model_field(declaration.model, source_of(declaration.model, name, info)) or (None, False)
        if isinstance(field, models.FileField) and field.editable:
            key = info.alias if isinstance(info.alias, str) else name
            found.append(Slot(name, key, "column", field.attname, field, info=info, orm=orm_of(info)))
    return found


def needed_files(schema: Any) -> list[str]:
    """Returns the names of the files without which no row of `schema` can be created."""
    return [slot.key for slot in _file_slots(schema) if not may_be_left_out(slot)]


@cache
def form_body(body: type[BaseModel], *, new: bool, whole: bool) -> type[BaseModel]:
    """Returns `body` as the model of a form, with the files of its schema.

    Args:
        new: Whether it is of a new row, which has no file to take away.
        whole: Whether everything must be sent that a new row needs.
    """
    plan = plan_of(body)
    files = {slot.name: slot for slot in _file_slots(plan.schema)}
    required = {name for name, slot in files.items() if not may_be_left_out(slot)}
    fields: dict[str, Any] = {name: _as_json(body, name) for name, slot in plan.slots.items() if _holds_json(slot)}
    for name, slot in files.items():
        fields[name] = _file(slot, required=whole and name in required)
        if not new and name not in required:
            told = f"Whether the file {slot.key} is taken away."
            fields[_CLEAR + name] = (bool, Field(False, alias=f"{slot.key}-clear", description=told))
    made = create_model(f"{body.__name__}Form", __base__=body, __module__=body.__module__, **fields)
    keep_plan(made, replace(plan, slots={**plan.slots, **files}, required=plan.required | required))
    return made


def take_files(body: BaseModel, most: int | None) -> None:
    """Has `body` hold files of Django's in the place of those that were sent. Runs on the request thread.

    Args:
        most: The most bytes of one file.

    Raises: RequestValidationError, with the path to each file that is refused.
    """
    errors: list[dict[str, Any]] = []
    for slot in _file_slots(plan_of(type(body)).schema):
        sent, clear = getattr(body, slot.name), getattr(body, _CLEAR + slot.name, False)
        try:
            if sent is not MISSING:
                setattr(body, slot.name, _checked(slot.field, sent, most, clear=clear))
            elif clear:
                setattr(body, slot.name, "")
        except ValidationError as error:
            errors += [{"type": "file", "loc": ("body", slot.key), "msg": told} for told in error.messages]
    if errors:
        raise RequestValidationError(errors)


def _checked(field: Any, sent: UploadFile, most: int | None, *, clear: bool) -> Any:
    form_field = field.formfield()
    if clear:
        raise ValidationError(form_field.error_messages["contradiction"])
    size = sent.size or 0
    if most is not None and size > most:
        raise ValidationError(f"The file has {filesizeformat(size)}. It may have {filesizeformat(most)} at most.")
    try:
        file = UploadedFile(sent.file, _last_part(sent.filename), sent.content_type, size)
    except SuspiciousFileOperation:
        raise ValidationError("The file needs a name.") from None
    return form_field.clean(file)


def _last_part(name: str | None) -> str:
    """The name without folders, those of Windows too, and without what cannot be printed: as Django's own parser."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return "".join(filter(str.isprintable, last)).strip()


def _file(slot: Slot, *, required: bool) -> Any:
    told: dict[str, Any] = {
        "alias": slot.key if slot.key != slot.name else None,
        "json_schema_extra": partial(_describe_file, slot.field),
    }
    if required:
        return UploadFile, Field(**told)
    return Union[UploadFile, MISSING], Field(MISSING, **told)  # noqa: UP007


def _describe_file(field: Any, schema: dict[str, Any]) -> None:
    # What OpenAPI 3.0 called a file, for generators of clients that know no contentMediaType.
    schema["format"] = "binary"
    if help_text := str(field.help_text):
        schema["description"] = help_text


def _holds_json(slot: Slot) -> bool:
    if slot.kind in ("one", "many"):
        return True
    classes = type(slot.field).__mro__
    return models.JSONField in classes or any(each.__module__.startswith(_POSTGRES) for each in classes)


def _as_json(body: type[BaseModel], name: str) -> Any:
    info = body.model_fields[name]
    inner: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    options: dict[str, Any] = {"alias": info.alias, "description": info.description}
    held: Any = Json
    return held[inner], Field(**options) if info.is_required() else Field(info.default, **options)
