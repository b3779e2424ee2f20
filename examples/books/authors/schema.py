from pydantic import BaseModel, ConfigDict, Field


class AuthorIn(BaseModel):
    name: str = Field(min_length=1, max_length=100)
    bio: str = ""


class AuthorOut(AuthorIn):
    model_config = ConfigDict(from_attributes=True)

    id: int
