"""Models with every kind of constraint, and what goes on in a library."""

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=30, unique=True)

    def __str__(self) -> str:
        return self.name


class Book(models.Model):
    title = models.CharField(max_length=20)
    author = models.ForeignKey(Author, models.CASCADE)
    pages = models.IntegerField()
    draft = models.BooleanField(default=False)
    owner = models.ForeignKey(User, models.PROTECT, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["author", "title"], name="one_title_per_author"),
            models.UniqueConstraint(
                fields=["author"],
                condition=models.Q(draft=True),
                name="one_draft_per_author",
                violation_error_message="Finish the other draft first.",
            ),
            models.CheckConstraint(condition=models.Q(pages__gt=0), name="book_has_pages"),
        ]
        permissions = [("lend_book", "Can lend a book")]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        if self.title == "untitled":
            raise ValidationError("A book needs a title.", code="untitled")


class Key(models.Model):
    """An API key, in the clear: these are tests."""

    key = models.CharField(max_length=30, unique=True)
    user = models.ForeignKey(User, models.CASCADE)

    def __str__(self) -> str:
        return self.key
