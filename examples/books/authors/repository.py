"""The only module that asks the database for authors."""

from collections.abc import Iterable

from authors.models import Author


class AuthorRepository:
    def all(self) -> Iterable[Author]:
        return Author.objects.all()

    def exists(self, author_id: int) -> bool:
        return Author.objects.filter(id=author_id).exists()

    def get(self, author_id: int) -> Author:
        return Author.objects.get(id=author_id)

    def create(self, name: str, bio: str) -> Author:
        return Author.objects.create(name=name, bio=bio)

    def delete(self, author_id: int) -> None:
        self.get(author_id).delete()
