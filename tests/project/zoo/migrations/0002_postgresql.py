"""The tables that only PostgreSQL can have."""

from typing import Any

from django.conf import settings
from django.db import migrations, models

operations: list[Any] = []
if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    from django.contrib.postgres import fields
    from django.contrib.postgres.search import SearchVectorField

    operations = [
        migrations.CreateModel(
            name="Pangolin",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("scales", fields.ArrayField(models.IntegerField(), blank=True, default=list)),
                ("names", fields.ArrayField(models.CharField(max_length=4), size=3, blank=True, default=list)),
                ("grid", fields.ArrayField(fields.ArrayField(models.SmallIntegerField()), blank=True, default=list)),
                ("dates", fields.ArrayField(models.DateField(null=True), blank=True, default=list)),
                ("ages", fields.IntegerRangeField(null=True, blank=True)),
                ("weights", fields.DecimalRangeField(null=True, blank=True)),
                ("days", fields.DateRangeField(null=True, blank=True)),
                ("times", fields.DateTimeRangeField(null=True, blank=True)),
                ("distances", fields.BigIntegerRangeField(null=True, blank=True)),
                ("words", SearchVectorField(null=True)),
            ],
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [("zoo", "0001_initial")]


Migration.operations = operations
