"""What the text of a database's error says of the models, where the database tells a column and no table.

Such texts are MySQL's, so they are written out here. What each database really says is asked in test_handlers.py.

Holds `exception_handlers/integrity_errors.py`.
"""

from __future__ import annotations

import pytest
from django.db import IntegrityError, models
from django.test.utils import isolate_apps

from djfast_mount.exception_handlers import integrity_errors

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("column", "fields"),
    [("day", ("day",)), ("ref", ()), ("only_here", ("keeper_note",)), ("nowhere", ())],
    ids=["the same field of two models", "fields of two names", "a field of one model", "a field of none"],
)
def test_fields_are_named_where_all_models_agree(
    column: str, fields: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column names a field only if no model calls it otherwise."""
    with isolate_apps("project.library") as isolated:

        class Visit(models.Model):
            owner = models.IntegerField(db_column="ref")
            day = models.DateField()

            class Meta:
                app_label = "library"

        class Shift(models.Model):
            keeper = models.IntegerField(db_column="ref")
            keeper_note = models.TextField(db_column="only_here")
            day = models.DateField()

            class Meta:
                app_label = "library"

        monkeypatch.setattr(integrity_errors, "apps", isolated)
        found = integrity_errors.violation(IntegrityError(1048, f"Column '{column}' cannot be null"))
    assert (found.kind, found.fields) == ("not_null", fields)
