"""Django's half: everything that is not under /api."""

from django.contrib import admin
from django.urls import path

from notes.views import NoteList

urlpatterns = [
    path("", NoteList.as_view(), name="notes"),
    path("admin/", admin.site.urls),
]

# 503 instead of 500 if the database is away, as in the API.
handler500 = "djfast_mount.exception_handlers.server_error"
