from django.contrib.auth.models import AbstractUser
from django.db import models


class Tenant(models.Model):
    """A customer of this service. Nobody sees what belongs to another one."""

    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    tenant = models.ForeignKey(Tenant, models.CASCADE, null=True, blank=True, related_name="users")


class CostCentre(models.Model):
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="cost_centres")
    code = models.CharField(max_length=12)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="code_once_a_tenant")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Company(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "open"
        CLOSED = "closed", "closed"

    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="companies")
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    founded = models.DateField(null=True, blank=True)
    size = models.PositiveIntegerField("number of people", null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name


class Department(models.Model):
    company = models.ForeignKey(Company, models.CASCADE, related_name="departments")
    name = models.CharField(max_length=100)
    cost_centre = models.ForeignKey(CostCentre, models.PROTECT, null=True, blank=True, related_name="departments")
    budget = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["company", "name"], name="department_once_a_company")]

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    department = models.ForeignKey(Department, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Employee(models.Model):
    company = models.ForeignKey(Company, models.CASCADE, related_name="employees")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="employees")
    name = models.CharField(max_length=100)
    email = models.EmailField()
    salary = models.DecimalField(max_digits=9, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering = ["name"]
        # Not once for all: the error would tell one tenant of another's employees.
        constraints = [models.UniqueConstraint(fields=["company", "email"], name="email_once_a_company")]

    def __str__(self) -> str:
        return self.name
