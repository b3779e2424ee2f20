import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
app = mount("/api", "polls.api:api")
