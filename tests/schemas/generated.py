"""Schemas of the firm's models, generated; and rows read attribute by attribute, as nobody would."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import FileField, Model
from hypothesis import strategies as st

from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import Shape, model_field
from djfast_mount.schemas.reading.reasons import of_model
from project.firm.models import (
    Badge,
    Bakery,
    Branch,
    Company,
    CornerShop,
    Department,
    Door,
    Grade,
    Invoice,
    Lodge,
    LoudPlace,
    Membership,
    OpenCompany,
    Passport,
    Person,
    Place,
    Plate,
    Project,
    Sample,
    Shop,
    Sign,
    Skill,
    Tag,
    Tale,
    Team,
    Town,
    Warden,
)

COLUMNS: dict[type[Model], list[str]] = {
    Badge: ["person_id", "number", "pk"],
    Bakery: ["pk", "name", "degrees", "bread", "outlet_id"],
    Branch: ["id", "name", "city", "company_ptr_id", "tags"],
    Company: ["id", "name", "status", "founded", "motto", "owner_id", "owner", "tags", "changed"],
    CornerShop: ["id", "name", "note", "trade"],
    Department: ["id", "pk", "name", "size", "company_id", "head"],
    Door: ["id", "label"],
    Grade: ["id", "person_id", "skill_id", "person"],
    Invoice: ["id", "company_id", "total"],
    Lodge: ["id", "name", "note"],
    LoudPlace: ["id", "name", "note"],
    Membership: ["id", "role", "person"],
    OpenCompany: ["name", "status", "shouted"],
    Passport: ["id", "number", "person_id"],
    Person: ["id", "email", "name", "friends"],
    Place: ["id", "name", "note", "town_id"],
    Plate: ["id", "text"],
    Project: ["id", "name", "plan", "people", "parent", "lead_id"],
    Sample: ["id", "label"],
    Shop: ["id", "name", "note", "trade", "town"],
    Sign: ["id", "text"],
    Skill: ["id", "name"],
    Tag: ["id", "name"],
    Tale: ["id", "title"],
    Team: ["id", "name", "hidden", "members"],
    Town: ["id", "name"],
    User: ["username"],
    Warden: ["id", "name"],
}
# Relations, with the model that they lead to, whether to many, and whether the one may be lacking.
RELATIONS: dict[type[Model], dict[str, tuple[type[Model], bool, bool]]] = {
    Badge: {"person": (Person, False, False)},
    Bakery: {"outlet": (Shop, False, False), "place_ptr": (Place, False, False), "doors": (Door, True, False)},
    Branch: {
        "company_ptr": (Company, False, False),
        "departments": (Department, True, False),
        "invoices": (Invoice, True, False),
        "owner": (User, False, True),
        "tags": (Tag, True, False),
    },
    Company: {
        "branch": (Branch, False, True),
        "departments": (Department, True, False),
        "invoices": (Invoice, True, False),
        "owner": (User, False, True),
        "tags": (Tag, True, False),
    },
    Department: {
        "company": (Company, False, False),
        "head": (Person, False, True),
        "plates": (Plate, True, False),
        "samples": (Sample, True, False),
        "teams": (Team, True, False),
    },
    CornerShop: {"doors": (Door, True, False), "place_ptr": (Place, False, False), "town": (Town, False, True)},
    Door: {"place": (Place, False, False)},
    Grade: {"person": (Person, False, False), "skill": (Skill, False, False)},
    Invoice: {"company": (Company, False, True)},
    Lodge: {"sign": (Sign, False, True), "warden": (Warden, False, True)},
    LoudPlace: {"doors": (Door, True, False), "place_ptr": (Place, False, False)},
    Membership: {"person": (Person, False, False), "team": (Team, False, False)},
    OpenCompany: {"departments": (Department, True, False), "owner": (User, False, True)},
    Passport: {"person": (Person, False, False)},
    Person: {
        "badge": (Badge, False, True),
        "friends": (Person, True, False),
        "grades": (Grade, True, False),
        "heads": (Department, True, False),
        "memberships": (Membership, True, False),
        "passports": (Passport, True, False),
        "projects": (Project, True, False),
        "skills": (Skill, True, False),
        "tales": (Tale, True, False),
        "teams": (Team, True, False),
    },
    Place: {
        "doors": (Door, True, False),
        "loudplace": (LoudPlace, False, True),
        "shop": (Shop, False, True),
        "town": (Town, False, True),
    },
    Plate: {"department": (Department, False, False)},
    Project: {
        "lead": (Person, False, True),
        "parent": (Project, False, True),
        "parts": (Project, True, False),
        "people": (Person, True, False),
    },
    Sample: {"department": (Department, False, False)},
    Shop: {"bakery": (Bakery, False, True), "doors": (Door, True, False), "place_ptr": (Place, False, False)},
    Sign: {"lodge": (Lodge, False, False)},
    Skill: {"grades": (Grade, True, False), "people": (Person, True, False)},
    Tag: {"companies": (Company, True, False)},
    Tale: {"person": (Person, False, False)},
    Team: {
        "department": (Department, False, False),
        "members": (Person, True, False),
        "memberships": (Membership, True, False),
    },
    Town: {"places": (Place, True, False)},
    User: {},
    Warden: {"lodges": (Lodge, True, False)},
}
# What a queryset may be annotated with, each once.
ANNOTATIONS = ("twice", "counted", "loud")


def declare(model: type[Model], names: list[str], relations: dict[str, Any], way: str) -> type[ModelSchema[Any]]:
    """Returns a schema with these columns and these annotations."""
    computed = [name for name in ANNOTATIONS if name in names]
    fields = [name for name in names if name not in relations and name not in computed]
    meta = type("Meta", (), {"fields": fields, "computed": computed, "way": way, "keep_sql": True})
    annotations = {**relations, **dict.fromkeys(computed, int | str | None)}
    defaults = dict.fromkeys(computed)
    body = {"__module__": __name__, "__annotations__": annotations, "Meta": meta, **defaults}
    return type(f"{model.__name__}Schema", (ModelSchema[model],), body)  # type: ignore[valid-type]


def _by_database(model: type[Model], name: str) -> bool:
    """Whether the database can make the JSON of it: of most drawn schemas it could not."""
    found = model_field(model, name)
    return found is not None and not found[0].many_to_many and not isinstance(found[0], FileField)


def _kind(model: type[Model], name: str, *, nested: bool) -> tuple[Any, ...]:
    """What makes the ways of reading take one member otherwise than another."""
    found = model_field(model, name)
    if found is None:
        return ("computed", name if name in ANNOTATIONS else "")
    field, _ = found
    if not field.is_relation:
        return (type(field).__name__,)
    forward = field.field if field.auto_created and not field.concrete else field
    through = getattr(forward.remote_field, "through", None)
    keys = [forward] if through is None else [each for each in through._meta.concrete_fields if each.is_relation]
    points_to_keys = all(each.target_field.primary_key for each in keys)
    if not nested:
        order = tuple(field.related_model._meta.ordering) if field.many_to_many else ()
        return (type(field).__name__, points_to_keys, order)
    link, constraint = getattr(forward.remote_field, "parent_link", False), getattr(forward, "db_constraint", True)
    own = [field.related_model._meta.base_manager_name is not None, model._meta.proxy, of_model(model), "nested"]
    return (type(field).__name__, points_to_keys, field.null, link, constraint, *own)


def _kinds() -> list[list[tuple[type[Model], str, bool]]]:
    found: dict[tuple[Any, ...], list[tuple[type[Model], str, bool]]] = {}
    members = [(model, name, False) for model, names in COLUMNS.items() for name in [*names, *ANNOTATIONS]]
    members += [(model, name, True) for model, names in RELATIONS.items() for name in names]
    for model, name, nested in members:
        found.setdefault(_kind(model, name, nested=nested), []).append((model, name, nested))
    return [*found.values()]


# Models with a file, or with a relation by other columns than keys, are few: among all models their turn hardly came.
KINDS = _kinds()


def _relations(model: type[Model], above: type[Model] | None, way: str) -> st.SearchStrategy[set[str]]:
    """Names of relations: two at most, for one that no plan takes leaves the plan of the others untried."""
    known = [name for name in RELATIONS[model] if way == "plan" or _by_database(model, name)]
    back = [name for name in known if above is not None and RELATIONS[model][name][:2] == (above, False)]
    drawn = st.sets(st.sampled_from(known), min_size=above is None, max_size=2) if known else st.just(set[str]())
    return drawn | st.just(set(back)) if back else drawn


@st.composite
def schemas(draw: st.DrawFn) -> type[ModelSchema[Any]]:
    """A schema with one member at least of a kind that is drawn first: each kind as often as the others."""
    model, name, nested = draw(st.sampled_from(KINDS).flatmap(st.sampled_from))
    way = draw(st.sampled_from(["plan", "database"])) if _by_database(model, name) else "plan"
    known = [each for each in [*COLUMNS[model], *ANNOTATIONS] if way == "plan" or _by_database(model, each)]
    names = draw(st.lists(st.sampled_from(known), unique=True, max_size=4))
    relations = {name} if nested else set[str]()
    if not nested:
        names = list(dict.fromkeys([*names, name]))
    if draw(st.booleans()) or not names:
        relations |= draw(_relations(model, None, way))
    return _declared(draw, model, names, relations, 4, way)


def _declared(draw: st.DrawFn, model: type[Model], names: list[str], chosen: set[str], depth: int, way: str) -> Any:
    relations: dict[str, Any] = {}
    for name in sorted(chosen):
        target, many, optional = RELATIONS[model][name]
        nested = draw(_below(target, depth - 1, model, way))
        relations[name] = list[nested] if many else nested | None if optional else nested
    return declare(model, names, relations, way if depth == 4 else "plan")


@st.composite
def _below(draw: st.DrawFn, model: type[Model], depth: int, above: type[Model], way: str) -> Any:
    """A nested schema of `model`, with relations down to `depth`; often with the one that leads back to `above`."""
    known = [name for name in COLUMNS[model] if way == "plan" or _by_database(model, name)]
    names = draw(st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=5))
    return _declared(draw, model, names, draw(_relations(model, above, way)) if depth else set(), depth, way)


def one_by_one(shape: Shape, row: Model) -> dict[str, Any]:
    """What `shape` takes of `row`: every attribute asked of the row itself, and nothing fetched beforehand."""
    found: dict[str, Any] = {}
    for member in shape.members:
        if member.kind == "computed":
            if hasattr(row, member.source):
                found[member.key] = getattr(row, member.source)
        elif member.kind == "column":
            found[member.key] = row.pk if member.source == "pk" else getattr(row, member.field.attname)
        elif member.kind == "file":
            file = getattr(row, member.source)
            found[member.key] = file.url if file else None
        elif member.kind == "keys":
            found[member.key] = [each.pk for each in getattr(row, member.source).all()]
        elif member.kind == "many":
            assert member.shape is not None
            found[member.key] = [one_by_one(member.shape, each) for each in getattr(row, member.source).all()]
        else:
            found[member.key] = _of_one(member.shape, row, member.source)
    return found


def _of_one(shape: Shape | None, row: Model, name: str) -> dict[str, Any] | None:
    assert shape is not None
    try:
        one = getattr(row, name)
    except ObjectDoesNotExist:  # Django has no row for the key.
        return None
    return None if one is None else one_by_one(shape, one)
