from django.contrib import admin

from moving.notes.models import Note

admin.site.register(Note)
