"""FastAPI's half: everything under /v0."""

from fastapi import FastAPI

from authors.routes import router as authors
from books.routes import router as books

api = FastAPI(title="Books")
api.include_router(authors, prefix="/authors", tags=["authors"])
api.include_router(books, prefix="/books", tags=["books"])
