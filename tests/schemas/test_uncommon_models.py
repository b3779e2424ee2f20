"""Models with generic relations, a foreign key in a composite primary key, or another model in their place.

Each is read as its rows are, or refused in words.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models import Q
from django.test.utils import CaptureQueriesContext, isolate_apps, override_settings

from crud.serving import Api, ok, served
from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import Create, ModelSchema, Update
from djfast_mount.schemas.writing.invalid import InvalidRow
from project.firm.models import Bay, Branch, Company, Depot, Notice, OpenCompany

pytestmark = pytest.mark.django_db


class NoticeSchema(ModelSchema[Notice]):
    class Meta:
        fields = ["text"]


class DepotRemarks(ModelSchema[Depot]):
    remarks: list[NoticeSchema]

    class Meta:
        fields = ["name"]
        read_only = ["remarks"]


class DepotSchema(ModelSchema[Depot]):
    class Meta:
        fields = ["name"]


class BayItem(ModelSchema[Bay]):
    class Meta:
        fields = ["number", "label"]


class DepotBays(ModelSchema[Depot]):
    bays: list[BayItem]

    class Meta:
        fields = ["name"]


class BaySchema(ModelSchema[Bay]):
    class Meta:
        fields = ["pk", "depot", "number", "label"]


class BayOfDepot(ModelSchema[Bay]):
    depot: DepotSchema

    class Meta:
        fields = ["number"]
        way = "database"


@pytest.fixture
def depots() -> tuple[Depot, Depot]:
    """Two, with two bays and two remarks each; and a remark on a row of another model with the first one's key."""
    found = Depot.objects.create(name="a"), Depot.objects.create(name="b")
    for depot in found:
        for number in (1, 2):
            Bay.objects.create(depot=depot, number=number, label=f"{depot.name}{number}")
            Notice.objects.create(about=depot, text=f"{depot.name} {number}")
    Notice.objects.create(kind=ContentType.objects.get_for_model(Company), row_id=found[0].pk, text="another's")
    return found


REMARKS = [
    {"name": "a", "remarks": [{"text": "a 2"}, {"text": "a 1"}]},
    {"name": "b", "remarks": [{"text": "b 2"}, {"text": "b 1"}]},
]


def test_rows_of_a_generic_relation(depots: Any) -> None:
    """They are read by one query more, with no row that belongs to a row of another model."""
    ContentType.objects.get_for_model(Depot)
    with CaptureQueriesContext(connection) as queries:
        assert [item.model_dump() for item in DepotRemarks.read(Depot.objects.all())] == REMARKS
    assert len(queries) == 2
    assert [item.model_dump() for item in DepotRemarks.read(Depot.objects.only("name"))] == REMARKS
    assert "Depot.remarks is a GenericRelation" in DepotRemarks.explain()


def test_a_resource_with_a_generic_relation(depots: Any) -> None:
    """It shows the rows that the caller may see, has no filter that leads over the relation, and writes the rest."""
    router = ModelRouter(
        DepotRemarks,
        prefix="/depots",
        create=True,
        filters="all",
        related_rows={Notice: lambda: Q(text__endswith="1")},
    )
    client = Api(served(router))
    assert [item["remarks"] for item in ok(client.get("/depots"))["items"]] == [[{"text": "a 1"}], [{"text": "b 1"}]]
    assert client.get("/depots?remarks__text=a").status_code == 422
    assert ok(client.post("/depots", json={"name": "c"}), 201) == {"name": "c", "remarks": []}


def test_no_body_writes_a_generic_relation() -> None:
    """A body that would hold its rows is refused when it is made, with what to do."""

    class Writing(ModelSchema[Depot]):
        remarks: list[NoticeSchema]

        class Meta:
            fields = ["name"]

    with pytest.raises(ConfigurationError, match=r"remarks is a GenericRelation, whose.*Put 'remarks' into"):
        _ = Create[Writing]


def test_a_generic_foreign_key(depots: Any) -> None:
    """It is shown by the columns that it is made of. Under its own name it is refused, with a schema and without."""

    class Columns(ModelSchema[Notice]):
        class Meta:
            fields = "__all__"
            exclude = ["id"]

    [item, *_] = Columns.read(Notice.objects.filter(text="a 1"))
    kind = ContentType.objects.get_for_model(Depot)
    assert item.model_dump() == {"text": "a 1", "kind_id": kind.pk, "row_id": depots[0].pk}
    row = Create[Columns].model_validate({"text": "new", "kind_id": kind.pk, "row_id": depots[1].pk}).create()
    assert row.about == depots[1]
    with pytest.raises(ConfigurationError, match=r"about leads to rows of any model.*Name the columns"):

        class ByName(ModelSchema[Notice]):
            class Meta:
                fields = ["about"]

    with pytest.raises(ConfigurationError, match=r"about is a GenericForeignKey.*Name the columns"):

        class BySchema(ModelSchema[Notice]):
            about: DepotSchema


def test_a_foreign_key_in_the_primary_key(depots: Any) -> None:
    """Rows are read from both sides, made, and changed; their keys stay."""
    one, two = depots
    expected = [
        {"pk": [each.pk, number], "depot": each.pk, "number": number, "label": f"{each.name}{number}"}
        for number in (2, 1)
        for each in depots
    ]
    rows = Bay.objects.order_by("-number", "depot_id")
    assert json.loads(BaySchema.read_json(rows)) == expected
    assert json.loads(BayOfDepot.read_json(rows))[1] == {"number": 2, "depot": {"name": "b"}}
    made = Create[BaySchema].model_validate({"depot": two.pk, "number": 7, "label": "x"})
    assert made.create().pk == (two.pk, 7)
    with pytest.raises(InvalidRow, match="already exists"):
        made.create()
    changed = Update[BaySchema].model_validate({"label": "y", "depot": one.pk, "number": 8})
    assert changed.update(Bay.objects.get(pk=(two.pk, 7))).pk == (two.pk, 7)
    assert Bay.objects.get(pk=(two.pk, 7)).label == "y"
    assert Bay.objects.count() == 5


def bays_of(depot: Depot) -> list[tuple[int, str]]:
    return [(bay.number, bay.label) for bay in depot.bays.order_by("number")]


def test_nested_rows_whose_key_names_their_parent(depots: Any) -> None:
    """An item is found by the rest of its key, or is new; the key of a row that is there does not change."""
    one, two = depots

    def sent(*items: Any) -> Any:
        return Update[DepotBays].model_validate({"bays": list(items)})

    sent({"number": 2, "label": "changed"}, {"number": 3, "label": "new"}).update(one)
    assert bays_of(one) == [(2, "changed"), (3, "new")]
    with pytest.raises(InvalidRow) as refused:
        sent({"pk": [one.pk, 2], "number": 9}, {"label": "none"}).update(one)
    assert [error["loc"] for error in refused.value.errors()] == [
        ("body", "bays", 0, "number"),
        ("body", "bays", 1, "number"),
    ]
    with pytest.raises(InvalidRow, match="There is no such row here"):
        sent({"pk": [two.pk, 1], "label": "stolen"}).update(one)
    assert bays_of(two) == [(1, "b1"), (2, "b2")]


def walked(client: Api, order: str) -> list[str]:
    """What the labels are of a list in that order, read one by one."""
    found, cursor = [], None
    while cursor is not None or not found:
        place = {} if cursor is None else {"cursor": cursor}
        page = ok(client.get("/bays", params={"order_by": order.split(","), "limit": 1, **place}))
        found += [item["label"] for item in page["items"]]
        cursor = page["next"]
    return found


def test_a_resource_whose_key_names_its_parent(depots: Any) -> None:
    """Its rows are found by the parts of the key, below the parent and at the top."""
    one, two = depots
    children = [ModelRouter(BayItem, prefix="/bays", create=True, update=True)]
    routers = [
        ModelRouter(BaySchema, prefix="/bays", update=True, filters="all", order_by=["number", "label"]),
        ModelRouter(DepotSchema, prefix="/depots", children=children),
    ]
    client = Api(served(*routers))
    assert ok(client.get(f"/bays/{two.pk}/1"))["label"] == "b1"
    assert ok(client.patch(f"/bays/{two.pk}/1", json={"label": "c", "depot": one.pk}))["pk"] == [two.pk, 1]
    assert len(ok(client.get("/bays", params={"depot__id": one.pk}))["items"]) == 2
    assert walked(client, "number,-label") == ["c", "a1", "b2", "a2"]
    assert walked(client, "-number") == ["a2", "b2", "a1", "c"]
    made = client.post(f"/depots/{one.pk}/bays", json={"number": 5, "label": "new"})
    assert ok(made, 201) == {"number": 5, "label": "new"}
    assert ok(client.get(made.headers["location"].removeprefix("/api"))) == {"number": 5, "label": "new"}


@isolate_apps("project.firm")
def test_a_model_that_was_swapped() -> None:
    """A schema of a model in whose place the settings put another is refused, with the model to write."""

    class Keeper(models.Model):
        class Meta:
            app_label = "firm"
            swappable = "FIRM_KEEPER_MODEL"

    class Schema(ModelSchema[Keeper]):
        class Meta:
            fields = ["id"]

    assert Schema.explain()
    with (
        override_settings(FIRM_KEEPER_MODEL="firm.Person"),
        pytest.raises(ConfigurationError, match=r"FIRM_KEEPER_MODEL has put firm.Person.*ModelSchema.Person."),
    ):

        class Swapped(ModelSchema[Keeper]):
            class Meta:
                fields = ["id"]


def test_a_proxy_and_a_child(firm: None) -> None:
    """Both are rows of the model above: each schema reads the rows of its model, and writes all of its tables."""

    class BranchSchema(ModelSchema[Branch]):
        class Meta:
            fields = ["name", "city"]

    class OpenCompanySchema(ModelSchema[OpenCompany]):
        class Meta:
            fields = ["name"]

    class CompanySchema(ModelSchema[Company]):
        class Meta:
            fields = ["name"]

    branch = Create[BranchSchema].model_validate({"name": "North", "city": "Oslo"}).create()
    Update[BranchSchema].model_validate({"name": "South", "city": "Bern"}).update(branch)
    assert [item.model_dump() for item in BranchSchema.read(Branch.objects.all())] == [
        {"name": "South", "city": "Bern"}
    ]
    names = [row.name for row in Company.objects.order_by("-id")]
    assert names[0] == "South"
    assert [item.name for item in OpenCompanySchema.read(OpenCompany.objects.all())] == names
    assert [item.name for item in CompanySchema.read(OpenCompany.objects.all())] == names
    assert isinstance(Create[OpenCompanySchema].model_validate({"name": "New"}).create(), OpenCompany)
    with pytest.raises(TypeError, match="is a schema of Branch, and was given Company"):
        BranchSchema.read(Company.objects.all())
