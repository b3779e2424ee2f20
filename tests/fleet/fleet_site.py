"""The quickstart, and beside it an app that tells which process answers, after as long as it is asked to take."""

from __future__ import annotations

import os
import time

from fastapi import FastAPI

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
fleet = FastAPI()


@fleet.get("/process")
def process(seconds: float = 0) -> int:
    time.sleep(seconds)
    return os.getpid()


app = mount({"/api": "notes.api:api", "/fleet": fleet})
