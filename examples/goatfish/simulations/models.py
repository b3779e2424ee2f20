from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models


class User(AbstractUser):
    pass


class Simulation(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="simulations")
    name = models.CharField(max_length=100)
    start_date = models.DateField()
    end_date = models.DateField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["start_date", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"],
                name="name_once_an_owner",
                violation_error_message="You have a simulation of this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """The rule of the admin's form and of the API, both of which show its message."""
        if self.start_date and self.end_date and self.end_date < self.start_date:
            raise ValidationError({"end_date": "A simulation does not end before it starts."})
