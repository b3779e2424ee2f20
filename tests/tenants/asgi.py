"""Both halves, with the tenant's middleware around both."""

import os

from djfast_mount import mount

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tenants.settings")
app = mount(
    "/api",
    "tenants.api:api",
    static=False,
    threads=int(os.environ.get("TEST_THREADS", "8")),
    wait_timeout=600,
    django_middleware_for_api=["django_tenants.middleware.main.TenantMainMiddleware"],
)
