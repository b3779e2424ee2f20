import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testing_project.settings")
app = mount("/api", "testing_project.books.api:api")
