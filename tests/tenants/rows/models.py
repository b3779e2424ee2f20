"""What every organization has a table of, in its own schema."""

from django.db import models


class Row(models.Model):
    owner = models.CharField(max_length=50)
