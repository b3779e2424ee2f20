"""The settings of a site of django-tenants: a schema of PostgreSQL for each organization."""

import os

import dj_database_url

SECRET_KEY = "not a secret: these settings serve tests alone"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tenants.urls"
SHARED_APPS = [
    "django_tenants",
    "tenants.organizations",
    "django.contrib.contenttypes",
    "djfast_mount",
]
TENANT_APPS = ["django.contrib.contenttypes", "tenants.rows"]
INSTALLED_APPS = [*SHARED_APPS, "tenants.rows"]
TENANT_MODEL = "organizations.Organization"
TENANT_DOMAIN_MODEL = "organizations.Domain"
TENANT_LIMIT_SET_CALLS = os.environ.get("TEST_LIMIT_SET_CALLS") == "1"
MIDDLEWARE = ["django_tenants.middleware.main.TenantMainMiddleware"]
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DATABASES = {
    "default": {
        **dj_database_url.config(conn_max_age=int(os.environ.get("TEST_CONN_MAX_AGE", "0"))),
        "ENGINE": "django_tenants.postgresql_backend",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DJFAST_MOUNT = {"docs_access": "public"}
