import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.spa_at_root.settings")
app = mount("/", "moving.spa_at_root.api_with_pages:api", django_prefix="/d")
