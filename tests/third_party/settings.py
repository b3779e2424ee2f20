"""The settings of a site with apps of others: SQLite in a file by default, another database by DATABASE_URL."""

import os
import tempfile
from pathlib import Path

import dj_database_url

SECRET_KEY = "not a secret: these settings serve tests alone"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "third_party.urls"
ASGI_APPLICATION = "third_party.asgi.app"
INSTALLED_APPS = [
    "djfast_mount",
    "unfold",  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "axes",
    "channels",
    "compressor",
    "corsheaders",
    "csp",
    "debug_toolbar",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_prometheus",
    "django_q",
    "guardian",
    "hijack",
    "import_export",
    "simple_history",
    "third_party.shelf",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "third_party.pages",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "csp.middleware.CSPMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "hijack.middleware.HijackUserMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "axes.middleware.AxesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": [Path(__file__).parent / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # the first, which refuses who is locked out
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "guardian.backends.ObjectPermissionBackend",
]
_scratch = os.environ.get("TEST_SCRATCH") or tempfile.gettempdir()
DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{_scratch}/third-party.sqlite3")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # In a file, not in memory: the threads of the pool are to open connections of their own.
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}
    DATABASES["default"]["TEST"] = {"NAME": str(Path(_scratch) / f"third-party-test-{os.getpid()}.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "static/"
STATIC_ROOT = str(Path(_scratch) / "static")
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "compressor.finders.CompressorFinder",
]
COMPRESS_ENABLED = COMPRESS_OFFLINE = True
USE_TZ = True
LOGIN_REDIRECT_URL = "books"
ACCOUNT_EMAIL_VERIFICATION = "none"
INTERNAL_IPS = ["127.0.0.1"]
# It refuses to be run by tests otherwise.
DEBUG_TOOLBAR_CONFIG = {"IS_RUNNING_TESTS": False}
CORS_ALLOWED_ORIGINS = ["https://shop.example"]
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"default-src": ["'self'"]}}
AXES_FAILURE_LIMIT = 3
Q_CLUSTER = {"name": "shelf", "orm": "default", "workers": 1, "timeout": 20, "retry": 30}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
WAGTAIL_SITE_NAME = "Shelf"
WAGTAILADMIN_BASE_URL = "http://testserver"
