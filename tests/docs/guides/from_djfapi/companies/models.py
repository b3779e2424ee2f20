import secrets

from django.db import models


def new_id() -> str:
    return secrets.token_hex(8)


class Company(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "open"
        CLOSED = "closed", "closed"

    id = models.CharField(primary_key=True, max_length=16, default=new_id)
    tenant_id = models.CharField(max_length=20)
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    founded = models.DateField(null=True, blank=True)
    size = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant_id", "name"], name="name_once_a_tenant")]

    def __str__(self) -> str:
        return self.name


class Department(models.Model):
    id = models.CharField(primary_key=True, max_length=16, default=new_id)
    company = models.ForeignKey(Company, models.CASCADE, related_name="departments")
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name
