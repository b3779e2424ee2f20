import os

SECRET_KEY = "not a secret: this project serves tests alone"
ALLOWED_HOSTS = ["testserver", "127.0.0.1"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "companies",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["GUIDE_DATABASE"]}}
STATIC_URL = "/static/"
USE_TZ = True
JWT_PUBLIC_KEY = os.environ["GUIDE_KEY"]
JWT_ISSUER = "https://issuer.example"
