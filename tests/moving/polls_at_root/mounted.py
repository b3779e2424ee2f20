import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "moving.polls_at_root.settings")
app = mount("/", "moving.polls_at_root.api:api", django_prefix="/django")
