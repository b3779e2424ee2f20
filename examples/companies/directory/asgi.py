import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "directory.settings")
app = mount("/api")
