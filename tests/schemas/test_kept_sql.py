"""SQL that is kept shows nobody the rows of another: what the caller has a hand in is asked each time.

Holds `schemas/reading/database_json.py`.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FunctionType
from typing import Any

import django
import pytest
from django.db import connection, models
from django.db.models import F, Manager, Q, QuerySet, Transform
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.manager import BaseManager
from django.db.models.options import Options
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.datastructures import BaseTable
from django.db.models.sql.where import WhereNode

from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from djfast_mount.schemas.declaring.declaration import shape_of
from djfast_mount.schemas.reading import database_json, kept_sql
from project.firm.models import Company, Department, Person, Team

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("firm")]

TENANT: ContextVar[str] = ContextVar("tenant_of_kept_sql")


class NameAlone(ModelSchema[Company]):
    class Meta:
        fields = ("name",)
        way = "database"
        keep_sql = True


class DepartmentName(ModelSchema[Department]):
    class Meta:
        fields = ("name",)


class WithDepartments(ModelSchema[Company]):
    departments: list[DepartmentName]

    class Meta:
        fields = ("name",)
        way = "database"
        keep_sql = True


class TeamName(ModelSchema[Team]):
    class Meta:
        fields = ("name",)


class WithTeams(ModelSchema[Department]):
    """The manager of teams is the project's own."""

    teams: list[TeamName]

    class Meta:
        fields = ("name",)
        keep_sql = True


class NotToBeKept(ModelSchema[Company]):
    """It says nothing of kept SQL."""

    class Meta:
        fields = ("name",)
        way = "database"


def forget() -> None:
    """What was looked at and kept, as in a process that starts."""
    kept = (database_json._known_statement, database_json._compiled)
    looked_at = (
        kept_sql._looked_at,
        kept_sql._compiler_of,
        kept_sql._has_djangos_methods,
        kept_sql._columns,
        kept_sql.may_keep,
    )
    for cached in (*kept, *looked_at):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    forget()
    yield
    forget()


def statement(schema: type[ModelSchema[Any]], rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    return database_json._statement(shape_of(schema), rows, connection.alias)


def as_django_makes_it(schema: type[ModelSchema[Any]], rows: QuerySet[Any]) -> tuple[str, tuple[Any, ...]]:
    """The statement of a query that nobody keeps, with the brackets and the name that RawSQL gives its text."""
    made, parameters = rows.values_list(database_json.object_of(shape_of(schema))).query.sql_with_params()
    alias = ' AS "_object1" FROM "firm_company"'
    assert made.count(alias) == 1
    return made.replace("SELECT ", "SELECT (", 1).replace(alias, ') AS "rawsql1" FROM "firm_company"'), parameters


def kept() -> int:
    return database_json._known_statement.cache_info().currsize


ASKED: dict[str, Callable[[], QuerySet[Company]]] = {
    "all": Company.objects.all,
    "in no order": Company.objects.order_by,
    "by columns": lambda: Company.objects.order_by("-name", "pk"),
    "reversed": lambda: Company.objects.order_by("name").reverse(),
    "the first": lambda: Company.objects.all()[:2],
    "a page": lambda: Company.objects.order_by("-id")[1:3],
    "the rest": lambda: Company.objects.all()[2:],
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("schema", [NameAlone, WithDepartments])
def test_a_kept_statement_is_what_django_makes(name: str, schema: type[ModelSchema[Any]]) -> None:
    """It is kept, and the SQL of the second time is that of a query that nobody keeps."""
    for _ in range(2):
        assert statement(schema, ASKED[name]()) == as_django_makes_it(schema, ASKED[name]())
    assert kept() == 1
    assert database_json._known_statement.cache_info().hits == 1


def test_nothing_is_kept_unless_the_project_says_so() -> None:
    """Without `Meta.keep_sql`, no SQL is kept of the same list."""
    assert not kept_sql.may_keep(NotToBeKept)
    statement(NotToBeKept, Company.objects.all())
    assert kept() == database_json._compiled.cache_info().currsize == 0


def test_the_option_is_true_or_false() -> None:
    """A text is no answer, and `"False"` would be true."""
    with pytest.raises(ConfigurationError, match=r"Meta\.keep_sql is 'False'\. Write True or False\."):

        class Wrong(ModelSchema[Company]):
            class Meta:
                fields = ("name",)
                keep_sql = "False"


class Cloning(QuerySet[Any]):
    def _clone(self) -> Any:
        return added(super()._clone())  # type: ignore[misc]


class Chaining(QuerySet[Any]):
    def _chain(self) -> Any:
        return added(super()._chain())  # type: ignore[misc]


class Values(QuerySet[Any]):
    def _values(self, *fields: Any, **expressions: Any) -> Any:
        return added(super()._values(*fields, **expressions))  # type: ignore[misc]


class Reversing(QuerySet[Any]):
    """The query is a property: it is asked whenever SQL is made."""

    @property
    def query(self) -> Any:
        return added(self, super().query)

    @query.setter
    def query(self, value: Any) -> None:
        QuerySet.query.fset(self, value)  # type: ignore[attr-defined]


def added(rows: Any, query: Any = None) -> Any:
    query = rows.query if query is None else query
    if not query.where and not query.is_sliced:
        query.add_q(Q(name=TENANT.get()))
    return rows if query is not rows else query


class LateWhere(WhereNode):
    """Empty till SQL is made."""

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return f'"{Company._meta.db_table}"."name" = %s', [TENANT.get()]


def with_late_where() -> QuerySet[Any]:
    rows = Company.objects.all()
    rows.query.where = LateWhere()
    return rows


def with_where_of_an_instance() -> QuerySet[Any]:
    rows = Company.objects.all()
    rows.query.where.as_sql = LateWhere().as_sql  # type: ignore[method-assign]
    return rows


def with_compiler_of_an_instance() -> QuerySet[Any]:
    rows = Company.objects.all()
    rows.query.get_compiler = Query(Company).get_compiler  # type: ignore[method-assign]
    return rows


def with_values_of_an_instance() -> QuerySet[Any]:
    rows = Company.objects.all()
    rows.values_list = rows.filter(name="Acme").values_list  # type: ignore[method-assign]
    return rows


class InLanguage(Transform):
    """The order of one caller, as `order_by("name__inlang")`."""

    lookup_name = "inlang"

    def as_sql(self, compiler: Any, connection: Any, **options: Any) -> Any:
        sql, parameters = compiler.compile(self.lhs)
        return f"(CASE WHEN {sql} = %s THEN 0 ELSE 1 END)", (*parameters, TENANT.get())


@pytest.fixture
def in_language() -> Iterator[None]:
    models.CharField.register_lookup(InLanguage)
    yield
    models.CharField._unregister_lookup(InLanguage)  # type: ignore[attr-defined]


def check_two_tenants(rows: Callable[[], QuerySet[Any]]) -> None:
    for name in ("Acme", "Void", "Acme"):
        TENANT.set(name)
        assert [each.model_dump() for each in NameAlone.read(rows())] == [{"name": name}], "the control"
        assert json.loads(NameAlone.read_json(rows())) == [{"name": name}]
    assert kept() == 0


LATE: dict[str, Callable[[], QuerySet[Any]]] = {
    "a queryset's clone": lambda: Cloning(Company),
    "a queryset's chain": lambda: Chaining(Company),
    "a queryset's values": lambda: Values(Company),
    "a where of its own": with_late_where,
    "a transform": lambda: Company.objects.order_by("name__inlang")[:1],
    "an expression": lambda: Company.objects.order_by(InLanguage(F("name")))[:1],
}


@pytest.mark.usefixtures("in_language")
@pytest.mark.parametrize("name", LATE)
def test_what_the_caller_decides_late_is_asked_each_time(name: str) -> None:
    """A condition or an order that comes with the SQL is of the caller of now."""
    check_two_tenants(LATE[name])


NOT_KEPT: dict[str, Callable[[], QuerySet[Any]]] = {
    "the compiler of one instance": with_compiler_of_an_instance,
    "the where of one instance": with_where_of_an_instance,
    "the values of one instance": with_values_of_an_instance,
    "by a relation": lambda: Company.objects.order_by("owner"),
    "at random": lambda: Company.objects.order_by("?"),
    "by an annotation": lambda: Company.objects.annotate(first=F("name")).order_by("first"),
    "by a column below": lambda: Company.objects.order_by("departments__name"),
    "chosen columns": lambda: Company.objects.only("name"),
    "joined": lambda: Company.objects.select_related("owner"),
    "a condition": lambda: Company.objects.filter(name="Acme"),
    "locked": Company.objects.select_for_update,
    "none": Company.objects.none,
    "a query of another model": lambda: QuerySet(Company, query=Query(Department)),
}


@pytest.mark.parametrize("name", NOT_KEPT)
def test_a_query_that_says_more_is_not_kept(name: str) -> None:
    """No more than an order of columns and a slice is known by."""
    rows = NOT_KEPT[name]()
    assert not kept_sql.is_made_by_django(rows, connection.alias) or kept_sql.asked(rows) is None


def test_the_order_of_the_model_with_a_transform(in_language: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that the model gives is looked at as that of the query is."""
    monkeypatch.setattr(Company._meta, "ordering", ["name__inlang"])
    check_two_tenants(lambda: Company.objects.all()[:1])


def test_a_column_that_the_caller_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field whose column is made by a method of its own, as translated fields are."""
    field = Company._meta.get_field("motto")
    name = Company._meta.get_field("name")
    monkeypatch.setattr(field, "get_col", lambda alias, output_field=None: InLanguage(name.get_col(alias)))
    check_two_tenants(lambda: Company.objects.order_by("motto")[:1])


def test_a_table_that_the_caller_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that replaces how Django writes the table of a query."""
    made = BaseTable.as_sql

    def as_sql(self: Any, compiler: Any, connection: Any) -> Any:
        sql, parameters = made(self, compiler, connection)
        if self.table_name != Company._meta.db_table:
            return sql, parameters
        return f'(SELECT * FROM "{self.table_name}" WHERE name = %s) "{self.table_name}"', [TENANT.get()]

    monkeypatch.setattr(BaseTable, "as_sql", as_sql)
    check_two_tenants(Company.objects.all)


class Wrapped:
    """What tracers put around a method."""

    def __init__(self, method: Any) -> None:
        self.__wrapped__ = method

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.__wrapped__(*args, **options)


REPLACED: dict[str, tuple[type, str, Any]] = {
    "a method": (Query, "get_compiler", lambda self, *args, **options: None),
    "a new method of one vendor": (Col, "as_postgresql", lambda self, *args: None),
    "a property": (QuerySet, "db", property(lambda self: "default")),
    "a class method": (QuerySet, "as_manager", classmethod(lambda cls: None)),
    "a traced method": (BaseTable, "as_sql", Wrapped(BaseTable.as_sql)),
    "a method of fields": (models.Field, "get_col", lambda self, alias: None),
    "what fields keep": (models.Field, "cached_col", property(lambda self: None)),
    "a method of the model's options": (Options, "get_field", lambda self, name: None),
    "a method made of another": (Query, "get_compiler", functools.partialmethod(Query.get_compiler, elide_empty=False)),
    "a method of conditions": (WhereNode, "as_sql", lambda self, *args: None),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_is_replaced_in_django_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No SQL is kept where a method that has a part in it is not Django's."""
    kind, attribute, value = REPLACED[name]
    check_is_seen(kind, attribute, value, monkeypatch)


def check_is_seen(kind: type, attribute: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, attribute, value, raising=False)
    found = kept_sql._foreign_parts(connection.alias)
    monkeypatch.undo()
    assert any(each.endswith(f".{attribute}") for each in found)


def test_a_replaced_method_of_the_backend_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where one of the backend's is not."""
    check_is_seen(type(connection.ops), "quote_name", lambda self, name: name, monkeypatch)


def test_methods_of_one_connection_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is it kept where a connection of this thread alone has a method of its own."""
    assert kept_sql.is_made_by_django(Company.objects.all(), connection.alias)
    monkeypatch.setattr(connection.ops, "quote_name", connection.ops.quote_name)
    assert not kept_sql.is_made_by_django(Company.objects.all(), connection.alias)


# What django-multitenant and others do, written into a file of the test's choice.
PATCH = """
def get_compiler(query, *args, **options):
    if not query.where and not query.is_sliced:
        query = query.chain()
        query.add_q(Q(name=TENANT.get()))
    return made(query, *args, **options)
"""


def written_in(file: str) -> Any:
    names: dict[str, Any] = {"Q": Q, "TENANT": TENANT, "made": Query.get_compiler}
    exec(compile(PATCH, file, "exec"), names)
    return names["get_compiler"]


def test_a_package_beside_djangos_is_not_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in site-packages/django_multitenant is not taken for Django's own."""
    monkeypatch.setattr(Query, "get_compiler", written_in(f"{django.__path__[0]}_multitenant/patch.py"))
    check_two_tenants(Company.objects.all)


@pytest.mark.parametrize("name", ["_multitenant/patch.py", "/db/models/sql/query.py"])
def test_a_method_that_is_replaced_after_the_first_read_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """django-multitenant replaces Django's with the first instance of a model: what was kept is not asked then."""
    statement(NameAlone, Company.objects.all())
    assert kept() == 1
    monkeypatch.setattr(Query, "get_compiler", written_in(f"{django.__path__[0]}{name}"))
    database_json._known_statement.cache_clear()
    check_two_tenants(Company.objects.all)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *((QuerySet, "_clone"), (QuerySet, "_fetch_all"), (QuerySet, "values_list"), (Manager, "get_queryset")),
        *((BaseManager, "get_queryset"), (Query, "chain"), (Query, "build_where"), (WhereNode, "as_sql")),
        *((SQLCompiler, "as_sql"), (SQLCompiler, "execute_sql"), (SQLCompiler, "get_order_by"), (BaseTable, "as_sql")),
        *((Col, "as_sql"), (models.Field, "get_col"), (Options, "get_field")),
    ],
)
def test_each_entry_is_looked_at_with_each_call(kind: type, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No SQL is kept, nor what was kept asked, while one of them is another than at the first look."""
    rows = Company.objects.all()
    assert kept_sql.is_made_by_django(rows, connection.alias)
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, FunctionType(getattr(kind, method).__code__, {}), raising=False)
        assert not kept_sql.is_made_by_django(rows, connection.alias)
    assert kept_sql.is_made_by_django(rows, connection.alias)


class PlainMethods(QuerySet[Company]):
    def open(self) -> Any:
        return self.filter(status="open")


def test_a_queryset_with_methods_beside_djangos_is_kept() -> None:
    """A project's own querysets add methods, and those leave Django's SQL as it is."""
    assert kept_sql.is_made_by_django(PlainMethods(Company), connection.alias)


# Nested rows ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def company() -> Company:
    Company.objects.all().delete()
    company = Company.objects.create(name="C")
    for tenant in ("a", "b"):
        person = Person.objects.create(email=f"{tenant}@x.org", name=tenant)
        Department.objects.create(company=company, code=tenant, name=tenant, head=person)
    return company


def check_nested_of_two() -> None:
    assert not kept_sql.may_keep(WithDepartments)
    for tenant in ("a", "b", "a"):
        TENANT.set(tenant)
        [found] = json.loads(WithDepartments.read_json(Company.objects.all()))
        assert found["departments"] == [{"name": tenant}]


def test_nested_rows_are_kept_by_djangos_own_manager() -> None:
    """The control: a list whose nested rows nobody else chooses is kept."""
    assert kept_sql.may_keep(WithDepartments)
    assert not kept_sql.may_keep(WithTeams)


def test_nested_rows_ordered_over_a_tenants_key(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order of nested rows that joins a foreign key with a condition of the tenant leaves rows out."""
    name = Person._meta.get_field("name")
    head = Department._meta.get_field("head")

    def condition(alias: str, related_alias: str) -> WhereNode:
        return WhereNode([Exact(name.get_col(alias), TENANT.get())])

    monkeypatch.setattr(Department._meta, "ordering", ["head__name", "id"])
    monkeypatch.setattr(head, "null", False)
    monkeypatch.setattr(head, "get_extra_restriction", condition)
    check_nested_of_two()


def test_a_manager_with_a_queryset_of_its_own(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager of Django's class whose instance was given another `get_queryset`."""
    manager = Department._default_manager
    monkeypatch.setattr(manager, "get_queryset", lambda: QuerySet(Department).filter(name=TENANT.get()), raising=False)
    check_nested_of_two()


def test_a_manager_with_a_class_of_querysets_of_its_own(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager of Django's class whose instance makes other querysets."""

    class OfTenant(QuerySet[Any]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if options.get("query") is None and not args[1:2]:
                self.query.add_q(Q(name=TENANT.get()))

    monkeypatch.setattr(Department._default_manager, "_queryset_class", OfTenant, raising=False)
    check_nested_of_two()


def test_statements_are_kept_by_several_threads() -> None:
    """Threads that ask and keep at the same time get the SQL of their own slice, and no error."""
    shape, using, found = shape_of(NameAlone), connection.alias, list[Any]()
    rows = [Company.objects.all()[:size] for size in range(1, 201)]
    expected = [as_django_makes_it(NameAlone, each) for each in rows]

    def ask() -> None:
        try:
            found.append([database_json._statement(shape, each, using) for each in rows])
        except BaseException as error:
            found.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert found == [expected] * 4
