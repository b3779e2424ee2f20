from django.contrib import admin

from books.models import Book


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "publication_date"]
    list_select_related = ["author"]
    search_fields = ["title", "author__name", "isbn"]
