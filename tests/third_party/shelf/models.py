"""The one table."""

from __future__ import annotations

from django.db import models
from simple_history.models import HistoricalRecords


class Book(models.Model):
    title = models.CharField(max_length=100)
    history = HistoricalRecords()

    class Meta:
        permissions = [("lend_book", "Can lend book")]

    def __str__(self) -> str:
        return self.title
