from fastapi import APIRouter

from authors.dependencies import AuthorServiceDependency
from authors.schema import AuthorIn, AuthorOut
from djfast_mount.transactions import Atomic

router = APIRouter()


@router.get("", description="All authors, by name.")
def get_all_authors(service: AuthorServiceDependency) -> list[AuthorOut]:
    return service.all()


@router.get("/{author_id}", description="One author.")
def get_author(author_id: int, service: AuthorServiceDependency) -> AuthorOut:
    return service.get(author_id)


@router.post("", description="Add an author.", status_code=201)
def create_author(author: AuthorIn, service: AuthorServiceDependency) -> AuthorOut:
    return service.create(author)


@router.delete("/{author_id}", description="Delete an author, with all books of that author's.", status_code=204)
def delete_author(author_id: int, service: AuthorServiceDependency, _: Atomic) -> None:
    """In a transaction: the author with all the books, or nothing."""
    service.delete(author_id)
