from fastapi import APIRouter

from books.dependencies import BookServiceDependency
from books.schema import BookIn, BookOut

router = APIRouter()


@router.get("", description="All books, by title.")
def get_all_books(service: BookServiceDependency) -> list[BookOut]:
    return service.all()


@router.get("/{book_id}", description="One book.")
def get_book(book_id: int, service: BookServiceDependency) -> BookOut:
    return service.get(book_id)


@router.post("", description="Add a book.", status_code=201)
def create_book(book: BookIn, service: BookServiceDependency) -> BookOut:
    return service.create(book)


@router.put("/{book_id}", description="Replace a book.")
def replace_book(book_id: int, book: BookIn, service: BookServiceDependency) -> BookOut:
    return service.replace(book_id, book)


@router.delete("/{book_id}", description="Delete a book.", status_code=204)
def delete_book(book_id: int, service: BookServiceDependency) -> None:
    service.delete(book_id)
