import os

from djfapi import DjangoFastAPI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
app = DjangoFastAPI()

from companies.api import companies  # noqa: E402

app.include_router(companies.router)
