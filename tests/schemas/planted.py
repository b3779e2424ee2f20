"""Faults that somebody might make in the ways of reading, and what puts one into the running code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from djfast_mount.schemas.reading import assembler, database_json, in_memory, instances, kept_sql, plan, reasons


class Fault(NamedTuple):
    """`old`, which stands once in the code of `module`, becomes `new`."""

    what: str
    module: ModuleType
    old: str
    new: str


READ = "found = list(rows.values_list(*self.columns))"
OF_THE_PLAN = [
    Fault("children come in the reverse order", assembler, "found[key].append(item)", "found[key].insert(0, item)"),
    Fault("a row without children has null", assembler, ') or [])"', '))"'),
    Fault(
        "a row that is not there has nulls", assembler, "(None if c{self.column(key)} is None else {code})", "{code}"
    ),
    Fault("a slice is ignored", plan, READ, f"rows = rows.all(); rows.query.clear_limits(); {READ}"),
    Fault("the order is ignored", plan, READ, f"rows = rows if rows.query.is_sliced else rows.order_by(); {READ}"),
    Fault("a manager that hides rows is passed by", plan, "plan.model._default_manager", "plan.model._base_manager"),
    Fault("nested rows are the default database's", plan, "(rows) or using", "(rows) or 'default'"),
    Fault("nested rows have no order", plan, "below = list(chosen.", "below = list(chosen.order_by()."),
    Fault("to_field is taken for the primary key", plan, "pointed.attname, field", "model._meta.pk.attname, field"),
    Fault("a file that is not there has a URL", plan, "if name else None", "if name is not None else None"),
    Fault("a file has its name for a URL", plan, "str(field.storage.url(name))", "str(name)"),
    Fault("what is nested is asked of the first row alone", plan, "for row in found if", "for row in found[:1] if"),
    Fault(
        "rows of one to many are grouped by their keys",
        plan,
        "field.field.attname, field.field.name",
        "'pk', field.field.name",
    ),
]
OF_THE_CHOICE = [
    Fault("from_db is passed by", reasons, "is not models.Model.from_db.__func__", "is None"),
    Fault("a many-to-many points to primary keys", reasons, "key.target_field.primary_key for", "True for"),
    Fault(
        "a field's own descriptor is passed by",
        reasons,
        'return f"{model.__name__}.{field.name} has a descriptor of its own"',
        "return None",
    ),
    Fault(
        "a row that the database does not vouch for is joined",
        reasons,
        "if is_forward(field) and not field.null",
        "if 0",
    ),
    Fault(
        "a row that its base manager hides is joined",
        reasons,
        "if type(model._meta.base_manager) is not models.Manager:",
        "if 0:",
    ),
]
OF_THE_INSTANCES = [
    Fault("what a row lacks is asked for", instances, "if hasattr(row, source)", "if source"),
    Fault("a file that is not there is asked for its URL", instances, "file.url if file else None", "file.url"),
    Fault(
        "keys come in the order of their numbers",
        instances,
        "[each.pk for each in getattr(row, member.source).all()]",
        "sorted(each.pk for each in getattr(row, member.source).all())",
    ),
    Fault("a union is joined", instances, "if rows.query.combinator or", "if"),
    Fault(
        "the parent in memory is read anew",
        instances,
        "_but_for(known | own_prefetches(rows), _joined(shape, rows.model, chosen))",
        "[*_joined(shape, rows.model, chosen)]",
    ),
    Fault("a row is joined to what it is known to belong to", instances, "set() if as_stored or", "set() if True or"),
    Fault("an inner join loses rows", instances, "= not is_forward(field) or field.null or", "= True or"),
    Fault(
        "a manager that hides rows is passed by",
        instances,
        "related_model._default_manager",
        "related_model._base_manager",
    ),
    Fault("columns that were left out are asked for one by one", instances, "        load_deferred(part, rows)\n", ""),
    Fault("a parent in memory is fetched", instances, "        take(known)\n", ""),
    Fault("a parent is made of a child that lacks its columns", in_memory, ".isdisjoint(columns)", " is not None"),
    Fault("a parent is joined that the child makes otherwise", in_memory, "return not any(made)", "return True"),
    Fault("keys are asked for row by row", instances, '("one", "many", "keys")', '("one", "many")'),
]
# PostgreSQL alone can do it.
OF_THE_DATABASE = [
    Fault("microseconds are lost", database_json, "default=text(_MICROSECONDS)", "default=text(_SECONDS)"),
    Fault("nested rows have no order", database_json, "chosen = rows.filter(", "chosen = rows.order_by().filter("),
    Fault("a manager that hides rows is passed by", database_json, "target._default_manager", "target._base_manager"),
    Fault(
        "a row that is not there has nulls",
        database_json,
        'Case(When(**{f"{key}__isnull": False}, then=_object(member.shape, path)), default=Value(None))',
        "_object(member.shape, path)",
    ),
    Fault("decimals are numbers", database_json, "return Cast(value, models.TextField())", "return value"),
    Fault(
        "the database writes points in time",
        database_json,
        "return Case(When(**{value.name: whole}, then=text(_SECONDS)), default=text(_MICROSECONDS))",
        "return value",
    ),
    Fault("rows that look alike are one", database_json, "if rows.query.distinct:", "if 0:"),
    Fault("rows are grouped by their JSON", database_json, "if rows.query.group_by is not None:", "if 0:"),
    Fault("a query without rows is an error", database_json, 'return b"[]"', "raise"),
    Fault("rows are the default database's", database_json, "using = rows.db", "using = 'default'"),
    Fault(
        "a kept slice begins with the first row", kept_sql, "query.low_mark, query.high_mark)", "0, query.high_mark)"
    ),
    Fault("a kept slice has no end", kept_sql, "query.low_mark, query.high_mark)", "query.low_mark, None)"),
    Fault("a kept order is not reversed", database_json, "rows if found.forwards else rows.reverse()", "rows"),
    Fault("a kept statement has no order", database_json, ".order_by(*found.order)", ".order_by()"),
    Fault(
        "a statement is kept of a query with conditions",
        kept_sql,
        "all(_is_said_by_nobody(name, said[name], fresh) for name in said.keys() - _ASKED)",
        "True",
    ),
]


def functions_of(holder: Any, module: str) -> Iterator[FunctionType]:
    """The functions of a module and of its classes."""
    for value in [*vars(holder).values()]:
        plain = inspect.unwrap(getattr(value, "__func__", value))
        if getattr(plain, "__module__", None) != module:
            continue
        if isinstance(plain, FunctionType):
            yield plain
        elif isinstance(plain, type) and plain is not holder:
            yield from functions_of(plain, module)


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Has the functions of the module run the changed code, wherever they have been imported to."""
    source = inspect.getsource(fault.module)
    assert source.count(fault.old) == 1, (
        f"the code has moved: {fault.old!r} stands {source.count(fault.old)} times in it"
    )
    changed = ModuleType(fault.module.__name__)
    exec(compile(source.replace(fault.old, fault.new), f"<{fault.what}>", "exec", dont_inherit=True), vars(changed))
    codes = {each.__qualname__: each.__code__ for each in functions_of(changed, changed.__name__)}
    functions = [*functions_of(fault.module, fault.module.__name__)]
    honest = [each.__code__ for each in functions]
    try:
        for each in functions:
            each.__code__ = codes[each.__qualname__]
        forget_all()
        yield
    finally:
        for each, code in zip(functions, honest, strict=True):
            each.__code__ = code
        forget_all()


def forget_all() -> None:
    """Has plans and readers made anew."""
    for module in (database_json, in_memory, instances, plan):
        for each in vars(module).values():
            if hasattr(each, "cache_clear") and each.__module__ == module.__name__:
                each.cache_clear()
