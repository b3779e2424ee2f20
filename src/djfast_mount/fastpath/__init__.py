"""Shorter ways through FastAPI with the same answers. Without this room nothing is lost but speed."""
