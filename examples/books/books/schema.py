from datetime import date

from pydantic import BaseModel, ConfigDict, Field


class BookIn(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    author_id: int
    isbn: str = Field(default="", max_length=13)
    publication_date: date | None = None


class BookOut(BookIn):
    model_config = ConfigDict(from_attributes=True)

    id: int
