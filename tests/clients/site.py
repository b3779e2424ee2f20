"""The companies of the tests, for clients in processes of their own."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from crud.resources import api_of, companies, documents  # noqa: E402  (models come after the settings)
from djfast_mount import mount  # noqa: E402

# Two hundred clients at once wait for eight threads, on machines that do something else besides.
app = mount("/api", api_of(companies(), documents()), wait_timeout=300)
