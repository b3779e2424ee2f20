"""The settings that WhiteNoise's tests of its middleware expect, without that middleware."""

SECRET_KEY = "not a secret: these settings serve tests alone"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "served_settings"
FORCE_SCRIPT_NAME = "/subdir"
STATIC_URL = "/subdir/static/"
INSTALLED_APPS = ["whitenoise.runserver_nostatic", "django.contrib.staticfiles"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MIDDLEWARE: list[str] = []
USE_TZ = True
urlpatterns: list[object] = []
