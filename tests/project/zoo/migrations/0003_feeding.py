"""What is unique in several ways, for rows that are made in bulk."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("zoo", "0002_postgresql")]
    operations = [
        migrations.CreateModel(
            name="Feeding",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("day", models.DateField()),
                ("keeper", models.CharField(max_length=12, unique_for_date="day")),
                ("slot", models.IntegerField(blank=True, null=True, unique=True)),
                ("bucket", models.IntegerField(blank=True, null=True)),
                ("food", models.JSONField(default=list, unique=True, blank=True)),
                (
                    "twice",
                    models.GeneratedField(
                        expression=models.F("slot") * 2, output_field=models.IntegerField(), db_persist=True
                    ),
                ),
                ("noted", models.DateTimeField(db_default=Now(), editable=False)),
                ("changed", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["bucket"],
                        name="one_feeding_per_bucket",
                        violation_error_code="taken",
                        violation_error_message="The bucket is empty by then.",
                    )
                ]
            },
        )
    ]
