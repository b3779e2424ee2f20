"""Makes the tables, a group and a superuser. Prints the Cookie header of the superuser's session."""

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    Group.objects.create(name="measured")
    client = Client()
    client.force_login(User.objects.create_superuser("admin", "admin@example.com"))
    name = settings.SESSION_COOKIE_NAME
    print(f"{name}={client.cookies[name].value}")
