"""What the tests of `crud` make resources of: three levels, ties and nulls everywhere, and rows of several tenants."""

from django.core.validators import FileExtensionValidator
from django.db import models


class Label(models.Model):
    name = models.CharField(max_length=20)
    tenant_id = models.IntegerField(default=1)

    def __str__(self) -> str:
        return self.name


class Company(models.Model):
    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PAUSED = "paused", "Paused"
        CLOSED = "closed", "Closed"

    tenant_id = models.IntegerField(default=1, db_index=True)
    name = models.CharField(max_length=60)
    slug = models.SlugField(max_length=40, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    founded = models.DateField(null=True, blank=True)
    size = models.IntegerField(null=True, blank=True)
    rating = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    listed = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    owner = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="subsidiaries")
    labels = models.ManyToManyField(Label, blank=True, related_name="companies")
    secret = models.CharField(max_length=20, blank=True, default="s3cr3t")

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "companies"

    def __str__(self) -> str:
        return self.name


class CompanyDepartment(models.Model):
    company = models.ForeignKey(Company, models.CASCADE, related_name="departments")
    name = models.CharField(max_length=40)
    budget = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    size = models.IntegerField(default=0)
    status = models.CharField(max_length=10, default="open")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["company", "name"], name="department_once_a_company")]

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    # Not named like the parent's model: G6.
    division = models.ForeignKey(CompanyDepartment, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=40)
    lead = models.ForeignKey("Employee", models.SET_NULL, null=True, blank=True, related_name="+")

    def __str__(self) -> str:
        return self.name


class Employee(models.Model):
    company = models.ForeignKey(Company, models.CASCADE, related_name="employees")
    name = models.CharField(max_length=40)
    department = models.ForeignKey(CompanyDepartment, models.SET_NULL, null=True, blank=True, related_name="employees")
    salary = models.DecimalField(max_digits=9, decimal_places=2, null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Rate(models.Model):
    """A composite primary key, and a character in it that a URL has to escape."""

    pk = models.CompositePrimaryKey("country", "year")
    country = models.CharField(max_length=10)
    year = models.IntegerField()
    percent = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.country} {self.year}"


class Document(models.Model):
    """A file that must be there, and a picture that may be."""

    company = models.ForeignKey(Company, models.CASCADE, null=True, blank=True, related_name="documents")
    title = models.CharField(max_length=20)
    notes = models.CharField(max_length=20, blank=True)
    pages = models.IntegerField(default=1)
    facts = models.JSONField(default=dict, blank=True)
    labels = models.ManyToManyField(Label, blank=True, related_name="+")
    file = models.FileField(upload_to="documents", validators=[FileExtensionValidator(["txt"])])
    cover = models.ImageField(upload_to="covers", blank=True)

    def __str__(self) -> str:
        return self.title
