"""Django's half: everything that is not under /api."""

from django.contrib import admin
from django.urls import path

from notes.views import NoteList

urlpatterns = [
    path("", NoteList.as_view(), name="notes"),
    path("admin/", admin.site.urls),
]
