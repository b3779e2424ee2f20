"""Models with every kind of relation, for the tests of schemas."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Self
from uuid import uuid4

from django.contrib.auth.models import User
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.query_utils import DeferredAttribute


class Status(models.TextChoices):
    OPEN = "open", "Open for business"
    CLOSED = "closed", "Closed"


class Tag(models.Model):
    name = models.CharField(max_length=20, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Company(models.Model):
    name = models.CharField("legal name", max_length=30, help_text="As it is registered.")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    founded = models.DateField(null=True, blank=True)
    motto = models.TextField(blank=True)
    # No constraint in the database: a plan may not take it for granted that there is such a row.
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, db_constraint=False)
    tags = models.ManyToManyField(Tag, blank=True, related_name="companies")
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=~models.Q(name="forbidden"), name="name_is_allowed")]

    def __str__(self) -> str:
        return self.name

    @property
    def shouted(self) -> str:
        return self.name.upper()

    def initial(self) -> str:
        return self.name[:1]

    def clean(self) -> None:
        if self.name == "nobody":
            raise ValidationError("A company is somebody.", code="nobody")


class Department(models.Model):
    company = models.ForeignKey(Company, models.CASCADE, related_name="departments")
    name = models.CharField(max_length=30)
    code = models.CharField(max_length=10)
    size = models.PositiveIntegerField(default=0)
    head = models.ForeignKey("Person", models.SET_NULL, null=True, blank=True, related_name="heads")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["company", "code"], name="one_code_per_company")]

    def __str__(self) -> str:
        return self.name


class OpenTeams(models.Manager["Team"]):
    def get_queryset(self) -> models.QuerySet[Team]:
        return super().get_queryset().filter(hidden=False)


class Team(models.Model):
    department = models.ForeignKey(Department, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=30)
    hidden = models.BooleanField(default=False)
    members = models.ManyToManyField("Person", through="Membership", related_name="teams")

    objects = OpenTeams()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class Person(models.Model):
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=30)
    friends = models.ManyToManyField("self", blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Badge(models.Model):
    """A one-to-one relation, by a key of its own."""

    person = models.OneToOneField(Person, models.CASCADE, primary_key=True, related_name="badge")
    number = models.IntegerField()

    def __str__(self) -> str:
        return str(self.number)


class Passport(models.Model):
    """Points to a column that is not the primary key, and calls its own otherwise in the database."""

    person = models.ForeignKey(Person, models.CASCADE, to_field="email", related_name="passports")
    number = models.CharField(max_length=20, db_column="passport_no")

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return self.number


class Membership(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, default="member")

    class Meta:
        ordering = ["id"]
        unique_together = [("team", "person")]

    def __str__(self) -> str:
        return f"{self.person} in {self.team}"


class Saved(models.Model):
    """Overrides `save`, which sets what nobody sent."""

    name = models.CharField(max_length=30)
    slug = models.SlugField(editable=False)
    saves = models.IntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.slug, self.saves = self.name.lower(), self.saves + 1
        super().save(*args, **kwargs)


class Branch(Company):
    """Inherits the table of another model."""

    city = models.CharField(max_length=30)


class OpenCompany(Company):
    """Another face of the same table."""

    class Meta:
        proxy = True
        ordering = ["-id"]


class LedProjects(models.Manager["Project"]):
    """Joins another table, and asks nothing of it: whoever joins it again has it twice."""

    def get_queryset(self) -> models.QuerySet[Project]:
        return super().get_queryset().filter(people__name__gte="").distinct()


class Project(models.Model):
    """A tree, of which the manager and the order join other tables."""

    name = models.CharField(max_length=30)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="parts")
    lead = models.ForeignKey(Person, models.SET_NULL, null=True, related_name="led")
    people = models.ManyToManyField(Person, related_name="projects")
    plan = models.FileField(upload_to="plans", blank=True)

    objects = LedProjects()

    class Meta:
        ordering = ["-name", "id"]

    def __str__(self) -> str:
        return self.name


class Invoice(models.Model):
    """Points to a row of which the database does not know that it has to be there."""

    company = models.ForeignKey(Company, models.DO_NOTHING, db_constraint=False, related_name="invoices")
    total = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.total)


class Sample(models.Model):
    """Overrides `from_db`."""

    department = models.ForeignKey(Department, models.CASCADE, related_name="samples")
    label = models.CharField(max_length=30)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.label

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        found = super().from_db(db, field_names, values, **more)
        if "label" in found.__dict__:
            found.label = found.label.upper()
        return found


class Loud(DeferredAttribute):
    """The descriptor of a field whose attribute is another than its column."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        found = super().__get__(instance, owner)
        return found if instance is None else found.upper()

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class LoudField(models.CharField):
    descriptor_class = Loud


class Plate(models.Model):
    """Has a field with a descriptor of its own."""

    department = models.ForeignKey(Department, models.CASCADE, related_name="plates")
    text = LoudField(max_length=30)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class Skill(models.Model):
    """A many-to-many relation by columns that are no primary keys."""

    name = models.CharField(max_length=30, unique=True)
    people = models.ManyToManyField(Person, through="Grade", related_name="skills")

    class Meta:
        ordering = ["-name"]

    def __str__(self) -> str:
        return self.name


class Grade(models.Model):
    person = models.ForeignKey(Person, models.CASCADE, to_field="email", related_name="grades")
    skill = models.ForeignKey(Skill, models.CASCADE, to_field="name", related_name="grades")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.person} in {self.skill}"


class Tales(models.QuerySet["Tale"]):
    """Does something to its rows when they are iterated."""

    def __iter__(self) -> Iterator[Tale]:
        for tale in super().__iter__():
            tale.title = tale.title.upper()
            yield tale


class Tale(models.Model):
    person = models.ForeignKey(Person, models.CASCADE, related_name="tales")
    title = models.CharField(max_length=30)

    objects = Tales.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.title


class Secret(models.Model):
    name = models.CharField(max_length=30)
    api_key = models.CharField(max_length=30)

    def __str__(self) -> str:
        return self.name


# Models whose keys somebody chooses, and whose manager hides rows -----------------------------------------------------


class Afloat(models.Manager[Any]):
    """As a manager of one tenant's rows would: the others are there, and are not seen."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(sunk=False)


class Vessel(models.Model):
    code = models.CharField(max_length=10, primary_key=True)
    name = models.CharField(max_length=20, blank=True)
    sunk = models.BooleanField(default=False)

    objects = Afloat()

    def __str__(self) -> str:
        return self.name


class Ferry(Vessel):
    """Inherits the table of a model with a key that is chosen."""

    decks = models.IntegerField(default=1)


class Hull(models.Model):
    name = models.CharField(max_length=20, blank=True)
    sunk = models.BooleanField(default=False)

    objects = Afloat()

    def __str__(self) -> str:
        return self.name


class Tug(Hull):
    """Inherits a table by a link of its own, which clients may send."""

    hull = models.OneToOneField(Hull, models.CASCADE, parent_link=True, primary_key=True)
    power = models.IntegerField(default=1)


class Buoy(models.Model):
    """Its `save` hands no arguments on."""

    code = models.CharField(max_length=10, primary_key=True)
    name = models.CharField(max_length=20, blank=True)
    saves = models.IntegerField(default=0, editable=False)
    sunk = models.BooleanField(default=False)

    objects = Afloat()

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.saves += 1
        super().save()


class Voyage(models.Model):
    """Its key has a default, and its `save` saves twice."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    name = models.CharField(max_length=20)
    slug = models.SlugField(editable=False)

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        self.slug = f"{self.name}-{str(self.pk)[:4]}"
        super().save(*args, **kwargs)


class Remark(models.Model):
    """Belongs to a row of any model, by a key that is chosen as well."""

    code = models.CharField(max_length=10, primary_key=True)
    text = models.CharField(max_length=20)
    kind = models.ForeignKey(ContentType, models.CASCADE)
    key = models.CharField(max_length=10)
    about = GenericForeignKey("kind", "key")

    def __str__(self) -> str:
        return self.text


class Notice(models.Model):
    """Points to a row of any model."""

    text = models.CharField(max_length=30)
    kind = models.ForeignKey(ContentType, models.CASCADE)
    row_id = models.PositiveIntegerField()
    about = GenericForeignKey("kind", "row_id")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.text


class Depot(models.Model):
    name = models.CharField(max_length=30)
    remarks = GenericRelation(Notice, content_type_field="kind", object_id_field="row_id")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Bay(models.Model):
    """Has a foreign key in its composite primary key."""

    pk = models.CompositePrimaryKey("depot_id", "number")
    depot = models.ForeignKey(Depot, models.CASCADE, related_name="bays")
    number = models.IntegerField()
    label = models.CharField(max_length=30)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return self.label


# Inherited tables, over several levels and by links of several kinds --------------------------------------------------


class Town(models.Model):
    name = models.CharField(max_length=30)

    def __str__(self) -> str:
        return self.name


class Place(models.Model):
    name = models.CharField(max_length=30)
    note = models.CharField(max_length=30, blank=True)
    town = models.ForeignKey(Town, models.CASCADE, null=True, related_name="places")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Door(models.Model):
    place = models.ForeignKey(Place, models.CASCADE, related_name="doors")
    label = models.CharField(max_length=30)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.label


class Shop(Place):
    trade = models.CharField(max_length=30)


class Heated(models.Model):
    degrees = models.IntegerField(default=20)

    class Meta:
        abstract = True


class Bakery(Heated, Shop):
    """Two levels below, with an abstract model between, and a link of its own name."""

    outlet = models.OneToOneField(Shop, models.CASCADE, parent_link=True, primary_key=True)
    bread = models.CharField(max_length=30)


class CornerShop(Shop):
    """Another face of an inherited table."""

    class Meta:
        proxy = True


class LoudPlace(Place):
    """Changes what it loads, where its parent does not."""

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        found = super().from_db(db, field_names, values, **more)
        if "name" in found.__dict__:
            found.name = found.name.upper()
        return found


class Shown(models.Manager[Any]):
    """Hides rows."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(hidden=False)


class Warden(models.Model):
    """Its base manager hides rows, also of those that point to them."""

    name = models.CharField(max_length=30)
    hidden = models.BooleanField(default=False)

    objects = Shown()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.name


class Lodge(models.Model):
    """Points to rows that a base manager hides, and is pointed to by such rows."""

    name = models.CharField(max_length=30)
    note = models.CharField(max_length=30, blank=True)
    warden = models.ForeignKey(Warden, models.CASCADE, null=True, related_name="lodges")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Sign(models.Model):
    """A one-to-one relation whose rows the base manager hides."""

    lodge = models.OneToOneField(Lodge, models.CASCADE, related_name="sign")
    text = models.CharField(max_length=30)
    hidden = models.BooleanField(default=False)

    objects = Shown()

    class Meta:
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.text


class Crate(models.Model):
    """What is pointed to by a column that may be null."""

    code = models.CharField(max_length=10, unique=True, null=True, blank=True)

    def __str__(self) -> str:
        return str(self.code)


class Parcel(models.Model):
    """Has an order that Django keeps, and defaults of other types than its columns'."""

    crate = models.ForeignKey(Crate, models.CASCADE, to_field="code", null=True, blank=True, related_name="parcels")
    weight = models.DecimalField(max_digits=6, decimal_places=2, default=1)
    label = models.CharField(max_length=10, default=5)

    class Meta:
        order_with_respect_to = "crate"

    def __str__(self) -> str:
        return self.label


class Strap(models.Model):
    crate = models.OneToOneField(Crate, models.CASCADE, to_field="code", null=True, blank=True, related_name="strap")
    colour = models.CharField(max_length=10)

    def __str__(self) -> str:
        return self.colour
