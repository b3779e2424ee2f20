"""Makes the schemas of two organizations, each with one row that tells whose it is: `python -m ...schemas`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tenants.settings")
OWNERS = ("ann", "bob")


def make() -> None:
    from django.core.management import call_command  # noqa: PLC0415
    from django.db import connection  # noqa: PLC0415

    from tenants.organizations.models import Domain, Organization  # noqa: PLC0415
    from tenants.rows.models import Row  # noqa: PLC0415

    call_command("migrate_schemas", "--shared", verbosity=0)
    for owner in OWNERS:
        organization = Organization.objects.create(schema_name=owner, name=owner)
        Domain.objects.create(domain=f"{owner}.test", tenant=organization)
        connection.set_tenant(organization)
        Row.objects.create(owner=owner)
        connection.set_schema_to_public()


if __name__ == "__main__":
    django.setup()
    make()
