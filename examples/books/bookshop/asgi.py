import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bookshop.settings")
app = mount("/v0", "bookshop.api:api")
