"""One request to a resource: who calls, what they may see, and the rows above it in the path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from django.db.models import Manager, Model, QuerySet
from fastapi import HTTPException, Request

from djfast_mount.crud.access.rows_in_answers import first_items_of, items_of
from djfast_mount.crud.access.scopes import Action
from djfast_mount.crud.access.visibility import Visibility, has_rows_of
from djfast_mount.crud.declaring.resource import Resource
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.queryset_internals import gives_instances
from djfast_mount.schemas.reading.first import First

__all__ = ["Call", "listed_twice", "not_found"]


@dataclass
class Call:
    """One request to a resource. Hooks get it.

    Args:
        access: What `security` returned; None without it.
        parents: The rows above in the path, the outermost first.
        values: What the server sets on a row that is created.
    """

    resource: Resource
    action: Action
    request: Request
    access: Any
    visibility: Visibility
    parents: Sequence[Model] = ()
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parent(self) -> Model | None:
        """The row right above; None at the outermost resource."""
        return self.parents[-1] if self.parents else None

    @property
    def path(self) -> str:
        """The path of its URL, escaped as headers need it."""
        # Servers decode it, and a key may be any text: headers are Latin-1, and a `>` ends a link. What RFC 3986 has in
        # a path stays as it is (section 3.3), but for what some clients split a `Link` at.
        return quote(self.request.scope["path"], safe="/!$&'()*+=:@~")

    @property
    def using(self) -> str | None:
        """The alias of the database that is asked: where the call writes to; None for the routers' choice."""
        return self.visibility.using

    def rows(self, *, gone: bool = False) -> QuerySet[Any]:
        """Every row of the resource that the caller may see.

        Args:
            gone: Whether rows that count as deleted are among them.
        """
        # The hook comes first and the rules after it: a project that overrides `queryset()` can narrow what callers
        # see, and cannot widen it by mistake.
        rows = self.visibility.rows(self.resource.model, self._queryset(), gone=gone)
        return rows.filter(**{self.resource.parent_key.name: self.parent}) if self.parent is not None else rows

    def searched(self, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Returns those of `rows` that the hook `search_rows` finds by `text`."""
        hooks = self.resource.hooks
        found: QuerySet[Any] = hooks.search_rows(self, rows, text)
        if not hooks.is_own("search_rows"):
            return found
        if not isinstance(found, QuerySet) or not has_rows_of(found.model, self.resource.model):
            raise ConfigurationError(
                f"{self.resource.label}: the hook search_rows returned a {type(found).__name__}. Return those of its "
                "rows that hold the text, as in rows.filter(name__icontains=text)."
            )
        # A hook may begin with all rows of the model, and not with those that it is given: it must not widen them.
        return rows.filter(pk__in=found.values("pk"))

    def find(self, keys: Mapping[str, Any], rows: QuerySet[Any] | None = None) -> Any:
        """Returns the row that `keys`, by parameter of the path, name. Raises: HTTPException 404."""
        return _found(self.resource, self.rows() if rows is None else rows, keys)

    def items(self, rows: QuerySet[Any]) -> list[Any]:
        """Returns the schemas of `rows`, with no related row that the caller may not see."""
        return items_of(self.resource.schema, rows, self.visibility)

    def first_items(self, rows: QuerySet[Any], limit: int, names: Sequence[str]) -> First:
        """Returns the schemas of the first `limit` of `rows`, as `items` does.

        Args:
            names: The columns and annotations that the ends are asked for.
        """
        return first_items_of(self.resource.schema, rows, self.visibility, limit, names)

    def written(self) -> QuerySet[Any]:
        """Every row that the caller may see, deleted ones and those of other parents too: for what was written."""
        # A change may have moved the row below another parent, or marked it as deleted. The caller wrote it, and is
        # shown what became of it; what it may not see afterwards `check_visible()` has refused by then.
        return self.visibility.rows(self.resource.model, self._queryset(), gone=True)

    def _queryset(self) -> QuerySet[Any]:
        rows = _of_hook(self.resource, self.resource.hooks.queryset(self))
        # A hook that says `using()` chooses where to read. What is written is locked, and compared with its ETag, where
        # it is written.
        return rows if self.using is None else rows.using(self.using)

    def json_of(self, row: Model) -> bytes:
        """Returns the JSON of `row`, read anew. Raises: HTTPException 404, when it has gone."""
        items = self.items(self.written().filter(pk=row.pk))
        if not items:
            raise not_found()
        # Pydantic's text is sent as it is. The ETag is made of these bytes, so a second serialization could make
        # another tag of the same row.
        body: str = items[0].model_dump_json(by_alias=True)
        return body.encode()


def listed_twice(resource: Resource) -> ConfigurationError:
    """Returns the error of a hook whose rows are not each there once."""
    return ConfigurationError(
        f"{resource.label}: the hook queryset gives one row several times, since it joins a relation to many. Add "
        "distinct() to it."
    )


def not_found() -> HTTPException:
    """What is said of a row that is not there, and of one that may not be seen."""
    # The same words in both cases: 403, or a name in the text, would tell that a hidden row exists.
    return HTTPException(404, "Not Found")


def _of_hook(resource: Resource, found: Any) -> QuerySet[Any]:
    """Returns the rows that the hook `queryset` has `found`. Raises: ConfigurationError, where no rule can be added."""
    rows = found.all() if isinstance(found, Manager) else found
    # None, which a function without a `return` gives, must not mean every row.
    if not isinstance(rows, QuerySet) or not has_rows_of(rows.model, resource.model):
        # Not the rows themselves, of which a list may be long.
        told = f"a queryset of {rows.model.__name__}" if isinstance(rows, QuerySet) else f"a {type(rows).__name__}"
    elif rows.query.is_sliced or rows.query.combinator or not gives_instances(rows):
        told = "a queryset that is sliced or combined, or has values()"
    else:
        return rows
    name = resource.model.__name__
    raise ConfigurationError(
        f"{resource.label}: the hook queryset returned {told}. Return a queryset of {name} that can be filtered, as in "
        f"{name}.objects.all()."
    )


def _found(resource: Resource, rows: QuerySet[Any], keys: Mapping[str, Any]) -> Any:
    try:
        return rows.get(**{key.column: keys[key.parameter] for key in resource.keys})
    except rows.model.DoesNotExist:
        raise not_found() from None
    except rows.model.MultipleObjectsReturned as error:
        raise listed_twice(resource) from error
