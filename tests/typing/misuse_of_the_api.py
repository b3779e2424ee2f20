"""What a type checker is to refuse: each line that is marked, and no other."""

from __future__ import annotations

from djfast_mount import mount
from djfast_mount.options import Options
from djfast_mount.urls import route_table

mount("/api", "myproject.api:api", thread=4)  # refused
mount("/api", "myproject.api:api", threads="4")  # refused
mount("/api", "myproject.api:api", docs_access="everybody")  # refused
mount("/api", "myproject.api:api", django_handler="two_hops")  # refused
mount(8000)  # refused
route_table("/api")  # refused
misspelt: Options = {"thread": 4}  # refused
mistyped: Options = {"threads": "4"}  # refused
unknown: Options = {"docs_access": "everybody"}  # refused
