from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    """A row of the ledger: which request wrote it, and whether it was to stay."""

    key = models.CharField(max_length=100, db_index=True)
    keep = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.key
