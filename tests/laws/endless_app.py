"""A project whose API has an endless sync endpoint, as a server loads it."""

from __future__ import annotations

import sys
import threading

from fastapi import FastAPI

from laws.roots import make_mounted

api = FastAPI()


@api.get("/endless")
def endless() -> None:
    sys.stderr.write("endless begins\n")
    sys.stderr.flush()
    threading.Event().wait()


mounted = make_mounted(api)
