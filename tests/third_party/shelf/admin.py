"""Books in the admin, with import and export."""

from __future__ import annotations

from django.contrib import admin
from import_export.admin import ImportExportModelAdmin

from third_party.shelf.models import Book


@admin.register(Book)
class BookAdmin(ImportExportModelAdmin):
    list_display = ["title"]
