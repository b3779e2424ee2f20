from authors.models import Author
from djfast_mount.schemas import Create, ModelSchema


class AuthorOut(ModelSchema[Author]):
    class Meta:
        fields = ["id", "name", "bio"]
        name = "Author"


AuthorIn = Create[AuthorOut]
