import os

from starlette.middleware import Middleware

from djfast_mount import mount
from moving.rewritten.middleware import NextFiles

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.rewritten.settings")
app = mount("/", "moving.rewritten.api:api", django_prefix="/server", middleware=[Middleware(NextFiles)])
