from books.models import Book
from djfast_mount.schemas import Create, ModelSchema


class BookOut(ModelSchema[Book]):
    class Meta:
        fields = ["id", "title", "author_id", "isbn", "publication_date"]
        name = "Book"


BookIn = Create[BookOut]
