import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
app = mount("/api", "project.library.service:api")
