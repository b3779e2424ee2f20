"""Who has a schema, and under which host."""

from django.db import models
from django_tenants.models import DomainMixin, TenantMixin


class Organization(TenantMixin):
    name = models.CharField(max_length=50)


class Domain(DomainMixin):
    pass
