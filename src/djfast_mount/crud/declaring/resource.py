"""What a resource is: all that is known of it before a request comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from django.db.models import Model
from pydantic import BaseModel

from djfast_mount.crud.access.scopes import WRITES, Action, ActionScopes, check_permission, permission_of
from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.crud.declaring.keys import Key
from djfast_mount.crud.pages.paging import Paging
from djfast_mount.crud.query.filters import Filters
from djfast_mount.crud.query.ordering import Ordering
from djfast_mount.crud.query.searching import Search
from djfast_mount.crud.writing.deletion import Deletion
from djfast_mount.crud.writing.etags import IfMatch

__all__ = ["Resource", "label_of"]


@dataclass(eq=False)
class Resource:
    """The declaration of one resource. `ModelRouter` makes it.

    Args:
        make_bodies: Makes the class of each body, by action.
        find_needed: Finds what `needed` is.
        find_nested: Finds what `nested` is.
        rows: By model, the dependency that says which of its rows a call may see.
        server_values: A dependency that returns what the server sets on creation.
        hooks: Has the methods of `ModelRouter` that a project may override.
        takes_scopes_over: Whether its scopes are those of its parent.
        parent_key: The foreign key to the parent's model.
        form: Whether the bodies of one row are forms.
        max_file_size: The most bytes of a file in a form.
        sound: Whether the rules of the tree have been looked at; of the outermost resource.
    """

    schema: Any
    model: type[Model]
    exposure: Exposure
    name: str
    plural: str
    keys: Sequence[Key]
    filters: Filters
    ordering: Ordering
    paging: Paging
    search: Search | None
    deletion: Deletion
    deletes: bool
    make_bodies: Callable[[], Mapping[str, type[BaseModel]]]
    find_needed: Callable[[], Iterable[tuple[type[Model], Any]]]
    find_nested: Callable[[], Iterable[type[Model]]]
    hooks: Any
    rows: Mapping[type[Model], Callable[..., Any]]
    server_values: Callable[..., Any] | None = None
    caller: Callable[..., Any] | None = None
    scopes: ActionScopes = field(default_factory=ActionScopes)
    takes_scopes_over: bool = False
    permissions: Literal["django"] | None = None
    if_match: IfMatch = "optional"
    form: bool = False
    max_file_size: int | None = None
    cache_control: str | None = None
    parent: Resource | None = None
    parent_key: Any = None
    children: list[Resource] = field(default_factory=list)
    sound: bool = False
    prefix: str = ""

    @property
    def label(self) -> str:
        """The router, as messages of errors name it."""
        return label_of(self.schema, self.prefix)

    @cached_property
    def bodies(self) -> Mapping[str, type[BaseModel]]:
        """The class of each body, by action. They are made when they are asked for, since that takes a while."""
        return self.make_bodies()

    @cached_property
    def needed(self) -> Sequence[tuple[type[Model], Any]]:
        """The relations to one row without which the schema shows no row, each with its model."""
        return list(self.find_needed())

    @cached_property
    def nested(self) -> Sequence[type[Model]]:
        """The models of which the schema shows rows nested, at every depth."""
        return list(dict.fromkeys(self.find_nested()))

    def check_nested(self, user: Any) -> None:
        """Raises HTTPException 403 where `user` has not Django's permission to view what the schema shows nested."""
        # It is shown, and filtered by, as at a path of its own.
        for model in self.nested:
            check_permission(user, permission_of(model, "read"))

    def parents(self) -> list[Resource]:
        """The resources above it in the path, the outermost first."""
        return [] if self.parent is None else [*self.parent.parents(), self.parent]

    def root(self) -> Resource:
        """The outermost resource."""
        return self if self.parent is None else self.parent.root()

    def walk(self) -> Iterator[Resource]:
        """It, and all resources below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def wanted_scopes(self, action: Action) -> list[Sequence[str]]:
        """The scopes that a caller needs for `action`: one of each list."""
        own = self.scopes.of(action)
        wanted = [own] if own else []
        # A child is a part of its parent: to write it is to change the parent, whatever it asks for besides.
        if action in WRITES and self.parent is not None:
            wanted += [each for each in self.parent.wanted_scopes("update") if each not in wanted]
        return wanted

    def permission(self, action: Action) -> str:
        """Django's permission for `action`."""
        return permission_of(self.model, action)


def label_of(schema: Any, prefix: str) -> str:
    """Returns how messages of errors name the router of `schema` at `prefix`."""
    return f"ModelRouter({schema.__name__}, prefix={prefix!r})"
