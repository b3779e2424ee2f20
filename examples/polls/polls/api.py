"""FastAPI's half: everything under /api."""

from fastapi import FastAPI

from polls.routers import choices, questions

api = FastAPI(title="Polls")
api.include_router(questions.router)
api.include_router(choices.router)
