"""The test project with an API, mounted with all defaults: `uvicorn static_mount:app`."""

from fastapi import FastAPI

from djfast_mount import mount

app = mount("/api", FastAPI())
