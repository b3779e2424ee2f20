"""Models with a field of every type, for the tests of schemas; on PostgreSQL those of django.contrib.postgres too."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.core.validators import MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import F
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _


class Diet(models.TextChoices):
    PLANTS = "plants", _("Plants")
    MEAT = "meat", _("Meat")


class Legs(models.IntegerChoices):
    NONE = 0
    TWO = 2
    FOUR = 4


class Money:
    """The value of a custom field."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


class MoneyField(models.Field):
    """A custom field, which no table of types knows."""

    def get_internal_type(self) -> str:
        return "BigIntegerField"

    def from_db_value(self, value: int | None, *args: object) -> Money | None:
        return None if value is None else Money(value)

    def to_python(self, value: object) -> Money | None:
        return value if value is None or isinstance(value, Money) else Money(int(str(value)))

    def get_prep_value(self, value: Money | None) -> int | None:
        money = self.to_python(value)
        return None if money is None else money.cents


class Enclosure(models.Model):
    code = models.CharField(max_length=8, primary_key=True)

    def __str__(self) -> str:
        return self.code


class Animal(models.Model):
    """Every type of field."""

    big = models.BigIntegerField(default=0)
    small = models.SmallIntegerField()
    positive = models.PositiveIntegerField()
    positive_small = models.PositiveSmallIntegerField(default=1)
    positive_big = models.PositiveBigIntegerField(default=1)
    integer = models.IntegerField(null=True, blank=True)
    legs = models.IntegerField(choices=Legs, default=Legs.FOUR)
    tame = models.BooleanField(default=False)
    known = models.BooleanField(null=True, blank=True)
    name = models.CharField(max_length=12, help_text=_("Its name."))
    nickname = models.CharField(max_length=12, blank=True)
    alias = models.CharField(max_length=12, null=True, blank=True)
    never_blank = models.CharField(max_length=12, null=True, default="x")
    diet = models.CharField(_("diet"), max_length=6, choices=Diet, blank=True)
    code = models.CharField(max_length=6, validators=[RegexValidator(r"^[a-z]*$"), MinLengthValidator(2)], default="aa")
    story = models.TextField(blank=True, max_length=5)
    slug = models.SlugField(max_length=10, blank=True)
    mail = models.EmailField(blank=True)
    site = models.URLField(blank=True)
    born = models.DateField(null=True, blank=True)
    seen = models.DateTimeField(null=True, blank=True)
    fed = models.TimeField(null=True, blank=True)
    nap = models.DurationField(null=True, blank=True)
    weight = models.FloatField(default=1.0)
    price = models.DecimalField(max_digits=7, decimal_places=2, default=Decimal("1.00"))
    chip = models.UUIDField(default=uuid.uuid4)
    address = models.GenericIPAddressField(null=True, blank=True)
    address4 = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    scan = models.BinaryField(editable=True, blank=True, max_length=8)
    notes = models.JSONField(default=dict, blank=True)
    opinion = models.JSONField(null=True, blank=True)
    picture = models.FileField(upload_to="animals", blank=True)
    enclosure = models.ForeignKey(Enclosure, models.CASCADE, null=True, blank=True)
    worth = MoneyField(default=0)
    double = models.GeneratedField(
        expression=F("positive_small") * 2, output_field=models.IntegerField(), db_persist=True
    )
    made = models.DateTimeField(auto_now_add=True)
    json = models.CharField(max_length=5, blank=True)
    model_kind = models.CharField(max_length=5, default="zoo")

    def __str__(self) -> str:
        return self.name


class Ticket(models.Model):
    """A composite primary key."""

    pk = models.CompositePrimaryKey("day", "number")
    day = models.DateField()
    number = models.IntegerField()
    price = models.DecimalField(max_digits=5, decimal_places=2)

    def __str__(self) -> str:
        return str(self.number)


class Feeding(models.Model):
    """What is unique in several ways, and columns that the database makes."""

    day = models.DateField()
    keeper = models.CharField(max_length=12, unique_for_date="day")
    slot = models.IntegerField(null=True, blank=True, unique=True)
    bucket = models.IntegerField(null=True, blank=True)
    food = models.JSONField(default=list, unique=True, blank=True)
    twice = models.GeneratedField(expression=F("slot") * 2, output_field=models.IntegerField(), db_persist=True)
    noted = models.DateTimeField(db_default=Now(), editable=False)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["bucket"],
                name="one_feeding_per_bucket",
                violation_error_code="taken",
                violation_error_message="The bucket is empty by then.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.keeper} on {self.day}"


class Berth(models.Model):
    """Constraints with a condition, an expression, and nulls that are alike; columns that the database makes."""

    code = models.CharField(max_length=10)
    active = models.BooleanField(default=True)
    slug = models.CharField(max_length=10)
    pier = models.IntegerField()
    place = models.IntegerField(null=True, blank=True)
    depth = models.IntegerField(db_default=7)
    double = models.GeneratedField(expression=F("pier") * 2, output_field=models.IntegerField(), db_persist=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code"], condition=models.Q(active=True), name="one_active_berth"),
            models.UniqueConstraint(Lower("slug"), name="one_slug", violation_error_message="The slug is taken."),
            models.UniqueConstraint(fields=["pier", "place"], nulls_distinct=False, name="one_place"),
            models.CheckConstraint(condition=models.Q(depth__gt=0), name="berth_has_water"),
        ]

    def __str__(self) -> str:
        return self.code


if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    from django.contrib.postgres import fields
    from django.contrib.postgres.search import SearchVectorField

    class Pangolin(models.Model):
        """The types of PostgreSQL."""

        scales = fields.ArrayField(models.IntegerField(), blank=True, default=list)
        names = fields.ArrayField(models.CharField(max_length=4), size=3, blank=True, default=list)
        grid = fields.ArrayField(fields.ArrayField(models.SmallIntegerField()), blank=True, default=list)
        dates = fields.ArrayField(models.DateField(null=True), blank=True, default=list)
        ages = fields.IntegerRangeField(null=True, blank=True)
        weights = fields.DecimalRangeField(null=True, blank=True)
        days = fields.DateRangeField(null=True, blank=True)
        times = fields.DateTimeRangeField(null=True, blank=True)
        distances = fields.BigIntegerRangeField(null=True, blank=True)
        words = SearchVectorField(null=True)

        def __str__(self) -> str:
            return str(self.pk)

    class Lizard(models.Model):
        """What needs an extension, which not every PostgreSQL has: its test makes the table."""

        colours = fields.HStoreField(blank=True, default=dict)

        class Meta:
            managed = False
            db_table = "zoo_lizard"

        def __str__(self) -> str:
            return str(self.pk)
