import secrets
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand

from companies.models import Company, CostCentre, Employee, Team, Tenant, User
from djfast_mount.tokens.models import APIToken

NAME = "demo"
SCOPES = [
    f"{resource}.{action}"
    for resource in ("companies", "cost_centres")
    for action in ("read", "create", "update", "delete")
]
TENANTS = {"North": ["Ada & Co", "Analytical Engines"], "South": ["Babbage Ltd"]}


class Command(BaseCommand):
    help = f"Make the superuser {NAME!r}, two tenants with companies, and print a new password and their new tokens."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="this password instead of a random one")

    def handle(self, *args: Any, password: str | None, **options: Any) -> None:
        password = password or secrets.token_urlsafe(9)
        user, _ = User.objects.get_or_create(username=NAME)
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
        self.stdout.write(f"Admin user: {NAME}\nPassword:   {password}")
        for name, companies in TENANTS.items():
            tenant, _ = Tenant.objects.get_or_create(name=name)
            for company in companies:
                self.make(tenant, company)
            owner, _ = User.objects.get_or_create(username=name.lower(), defaults={"tenant": tenant})
            # Of older tokens the texts are gone: there are only their hashes.
            APIToken.objects.filter(owner=owner).revoke()
            self.stdout.write(f"{name}: {APIToken.objects.issue(owner, 'seed', SCOPES).text}")

    def make(self, tenant: Tenant, name: str) -> None:
        centre, _ = CostCentre.objects.get_or_create(tenant=tenant, code="100", defaults={"name": "Production"})
        company, made = Company.objects.get_or_create(
            tenant=tenant, name=name, defaults={"founded": date(1843, 10, 18), "size": 3}
        )
        if made:
            department = company.departments.create(name="Engines", cost_centre=centre, budget=1000)
            team = Team.objects.create(department=department, name="Difference")
            email = f"{company.pk}@example.com"
            Employee.objects.create(company=company, team=team, name="Ada", email=email, salary=100)
