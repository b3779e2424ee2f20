import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = mount("/api")
