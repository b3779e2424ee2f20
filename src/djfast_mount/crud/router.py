"""`ModelRouter`: a model as a REST resource, in an `APIRouter` like any other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Unpack

from django.db.models import Model, Q, QuerySet
from fastapi import APIRouter, Depends
from fastapi.params import Depends as DependsMarker
from starlette.routing import BaseRoute

from djfast_mount.crud.access.call import Call
from djfast_mount.crud.access.callers import check_callers
from djfast_mount.crud.access.cookies import cookie_check
from djfast_mount.crud.access.scopes import Action
from djfast_mount.crud.declaring.exposure import Exposure
from djfast_mount.crud.declaring.from_arguments import check_parent, resource_of, whole_exposure
from djfast_mount.crud.declaring.options import HOOKS, RouterOptions, check_options, check_place
from djfast_mount.crud.declaring.resource import Resource, label_of
from djfast_mount.crud.routes.dependencies import (
    CallerLater,
    CallLater,
    Guard,
    ListingOf,
    RowOf,
    as_endpoint,
    check_guarded,
    check_included,
    check_keys,
    has_fixed_paths,
    is_at,
    needs_request,
    place_of,
)
from djfast_mount.crud.routes.specs import routes_of
from djfast_mount.crud.routes.starting import checked_lifespan
from djfast_mount.crud.writing.bodies import bodies_of, check_bodies, replaced
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas.model_schema import ModelSchema

__all__ = ["ModelRouter", "every_row"]

_OWN = set(RouterOptions.__annotations__) - set(inspect.signature(APIRouter.__init__).parameters)


def every_row() -> Q:
    """Returns the rule of rows that everybody may see."""
    return Q()


class ModelRouter(APIRouter):
    """Routes to list, read, create, change and delete the rows of a model.

        router = ModelRouter(CompanySchema, prefix="/companies", create=True, update=True)
        api.include_router(router)

    By default it only reads. Its endpoints run on the request thread. docs/crud.md has every argument in use.

    Args:
        schema: What is shown of a row; bodies and filters are made from it.
        create: Whether there is POST; or the class of its body, a subclass of `Create`. So with `update`, PATCH, and
            `replace`, PUT, whose bodies are subclasses of `Update`. None: PUT where there is PATCH, with its body.
        delete: Whether there is DELETE; or what it does, as in ``SoftDelete(status="closed")``.
        children: Resources below one row of this one. They take over security, scopes and permissions that they do not
            have themselves.
        security: A scheme of FastAPI's or a dependency; without what it returns a call is 401.
        scopes: What is needed for each action. None: the parent's; at the outermost, a caller is enough. A write needs
            those of the parent for `update` in any case.
        permissions: ``"django"``: callers are users, and need the model's permissions.
        rows: A dependency that returns a Q: the rows that a call may see, and write. Its parameter ``access`` is what
            `security` returned. So with `server_values`.
        related_rows: The same for rows of other models that bodies name; `every_row` for all of them.
        server_values: A dependency that returns what the server sets when a row is created.
        filters: ``"default"``, ``"all"``, names, or a `FilterSetFilters`. With ``document_filters=False`` they work,
            and are not in OpenAPI.
        order_by: The default order. None: the model's.
        search: The fields that the parameter ``search`` looks into, or a `Search`.
        page: `Cursor`, `LimitOffset` or `PageNumber`.
        if_match: Whether a change must name the ETag of what it changes: ``"off"``, ``"optional"`` or ``"required"``.
        form: Whether the bodies of one row are forms, ``multipart/form-data``, with the files of the model. The routes
            for several rows take JSON still, without files.
        max_file_size: The most bytes of a file in a form. None: as many as `mount()` takes of a body.
        aggregate: Whether there are numbers over rows; or of which fields. `group_by` are their groups.
        cache_control: The header Cache-Control of GET. None: there is none.
        lookup: A unique field that paths name rows by. None: the primary key.
        parent: The foreign key to the parent, where there are several.
        name: What one row is called in paths and operation ids. None: as the model.
        without: Routes that are left out.
        asynchronous: Whether the endpoints are coroutines. Hooks may be, in both cases.
        hooks: Functions that take the place of methods of this class: `queryset`, `create_row` and so on.

    Raises:
        ConfigurationError: When it is made, or when the app starts: an argument does not fit the model.
    """

    def __init__(
        self,
        schema: type[ModelSchema[Any]],
        *,
        prefix: str = "",
        children: Sequence[ModelRouter] = (),
        **options: Unpack[RouterOptions],
    ) -> None:
        check_options(schema, prefix, options)
        check_place(schema, prefix, children, ModelRouter)
        _check_alone(label_of(schema, prefix), children)
        self.schema = schema
        self._options = options
        self._children = list(children)
        self._written: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []
        self._sockets: list[tuple[str, Callable[..., Any], str | None, Any]] = []
        self._included: list[tuple[APIRouter, Any, dict[str, Any]]] = []
        self._routes: list[BaseRoute] = []
        self._made: list[Any] = []
        self._first: list[Any] = []
        self._guarded_routes = 0
        self._building = False
        self._is_built = False
        for name, function in options.get("hooks", {}).items():
            setattr(self, name, function)
        inherited: dict[str, Any] = {name: value for name, value in options.items() if name not in _OWN}
        # The one hook that runs after all routers are included and before the first call.
        own = inherited.get("lifespan")
        inherited["lifespan"] = checked_lifespan(lambda: self.resource, lambda: self.routes, self._guarded, own)
        super().__init__(prefix=prefix, **inherited)
        self._own_lifespan = self.lifespan_context
        self._place_below(None)

    # What a project may override -------------------------------------------------------------------------------------

    def queryset(self, call: Call) -> QuerySet[Any]:
        """Returns the rows that there are, before it is asked who may see them."""
        return self.resource.model._default_manager.all()

    def search_rows(self, call: Call, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Returns the `rows` that the parameter ``search`` finds."""
        search = self.resource.search
        return rows if search is None else search.found(rows, text, call.visibility)

    def create_row(self, call: Call, body: Any) -> Model:
        """Returns the new row of `body`. In a transaction, as all writes are."""
        parent = {} if call.parent is None else {self.resource.parent_key.name: call.parent}
        return body.create(**{**call.values, **parent})  # type: ignore[no-any-return]

    def update_row(self, call: Call, row: Model, body: Any) -> Model:
        """Returns `row`, which is locked, changed as far as `body` says."""
        return body.update(row)  # type: ignore[no-any-return]

    def replace_row(self, call: Call, row: Model, body: Any) -> Model:
        """Returns `row`, which is locked, with everything as `body` says: what was not sent gets its default."""
        return replaced(row, body)

    def delete_row(self, call: Call, row: Model) -> None:
        """Deletes `row`, which is locked."""
        self.resource.deletion.delete(row)

    # For routes that are written by hand -----------------------------------------------------------------------------

    @property
    def row(self) -> Any:
        """A dependency: the row that the path names, if the caller may see it: ``Annotated[Company, router.row]``."""
        return Depends(RowOf(lambda: self.resource, "read"))

    @property
    def listing(self) -> Any:
        """A dependency: the list that was asked for, with filters, order and paging: ``Annotated[Listing, ...]``."""
        return Depends(ListingOf(lambda: self.resource))

    def allowing(self, action: Action) -> Any:
        """Returns a dependency: the `Call` of a caller who may do `action`; else 401 or 403.

        A route that is written by hand has one by default: for reading with GET, else for updating. The row that its
        path names is looked up before it, too. With one among its own ``dependencies`` it has neither.
        """
        return Depends(CallLater(lambda: self.resource, action))

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Adds a route. It takes the place of one with the same path and method that this router has made."""
        if not self._building:
            self._written.append((path, endpoint, options))
            if not self._is_built:
                return
            methods = set(options.get("methods") or ["GET"])
            if "GET" in methods:
                # Each GET of ours has a HEAD beside it, which would go on to answer for the route that was replaced.
                methods.add("HEAD")
            self._drop(lambda route: is_at(route, self.prefix + path, methods))
            options = {
                **options,
                "dependencies": [*self._access_to(path, options), *(options.get("dependencies") or ())],
            }
        super().add_api_route(path, endpoint, **options)
        self._made.append(self._routes[-1])
        # Fixed paths before those with a parameter, whenever they were added: /companies/export is no company.
        # `sort()` is stable: routes of one kind stay in the order in which they were written.
        self._routes.sort(key=self._place)

    def add_api_websocket_route(
        self, path: str, endpoint: Callable[..., Any], name: str | None = None, *, dependencies: Any = None
    ) -> None:
        """Adds a WebSocket. Its handshake asks for the caller, and for the scopes and permissions of reading.

        Raises: ConfigurationError, when the routes are made: `security` needs a request, which a WebSocket has not.
        """
        self._sockets.append((path, endpoint, name, dependencies))
        if not self._is_built:
            return
        asked = [Depends(CallerLater(lambda: self.resource)), *(dependencies or ())]
        super().add_api_websocket_route(path, endpoint, name, dependencies=asked)
        route: Any = self._routes[-1]
        self._made.append(route)
        if needs_request(route.dependant):
            raise ConfigurationError(
                f"{self.resource.label}: the WebSocket {path!r} depends on something that takes a Request, and a "
                "WebSocket has none. Have it take an HTTPConnection of starlette.requests instead, in security= too."
            )

    def add_route(
        self,
        path: str,
        endpoint: Callable[[Any], Any],
        methods: Collection[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
    ) -> None:
        """Adds a route of Starlette's, by a function of the request. It asks what one of `add_api_route` asks."""
        made = as_endpoint(endpoint)
        if made is None:
            super().add_route(path, endpoint, methods, name, include_in_schema)
            return
        every = {"HEAD", *methods} if methods and "GET" in methods else methods or {"GET", "HEAD"}
        self.add_api_route(path, made, methods=every, name=name, response_model=None, include_in_schema=False)

    def include_router(self, router: APIRouter, *, dependencies: Any = None, **options: Any) -> None:
        """Includes the routes of another router. GET asks for `read`, every other method for `update`; a row that the
        path names by the parameters of this router is visible.

        Raises: ConfigurationError, when the routes are made: one of them takes no dependencies, or is a WebSocket.
        """
        self._included.append((router, dependencies, options))
        if self._is_built:
            self._include(router, dependencies, options)

    # How it is put together ------------------------------------------------------------------------------------------

    @property
    def own_hooks(self) -> frozenset[str]:
        """The names of the hooks that the project has written."""
        # By identity: a decorator may give a function the name and the module of ours.
        ours = vars(ModelRouter)
        return frozenset(each for each in HOOKS if getattr(getattr(self, each), "__func__", None) is not ours[each])

    def exposure(self, *, permissions: bool = False) -> Exposure:
        """Returns what the resource shows of its rows, and of those of children that ask for nothing more to be read.

        Args:
            permissions: Whether a router above asks for Django's permissions.
        """
        # Permissions are asked for each model, so that a parent's filter over a child would answer without the child's
        # being asked.
        permissions = permissions or bool(self._options.get("permissions"))
        children = [
            (child.schema, child._options.get("parent"), child.exposure())
            for child in self._children
            # A filter of the parent would tell what may be read at the child alone.
            if not (permissions or any(child._options.get(name) for name in ("scopes", "security", "permissions")))
        ]
        return whole_exposure(self.schema, children)

    @property
    def routes(self) -> list[BaseRoute]:
        """Every route, in the order in which they are tried. They are made when they are asked for: by then a child
        knows its parents."""
        if not self._is_built:
            self._check()
            self._build_whole()
        # Starlette's own methods, `mount()` say, append to this list.
        if len(self._routes) != self._guarded_routes and not self._building:
            self._guarded_routes = len(self._routes)
            check_guarded(self.resource, [each for each in self._routes if each not in self._made])
        return self._routes

    @routes.setter
    def routes(self, routes: list[BaseRoute]) -> None:
        self._routes = routes

    def _place_below(self, parent: Resource | None) -> None:
        """Makes the resource anew, below `parent`, and has the routes follow."""
        try:
            make_bodies = partial(bodies_of, self.schema, self._options)
            shown = self.exposure(permissions=parent is not None and bool(parent.permissions))
            self.resource = resource_of(
                self.schema, self._options, shown, make_bodies, self, self.prefix, parent, cookie_check
            )
        except ConfigurationError as error:
            # A project has dozens of routers, and the traceback of a declaration ends in the library.
            raise ConfigurationError(f"{label_of(self.schema, self.prefix)}: {error}") from error
        self._is_built = False
        for child in self._children:
            child._place_below(self.resource)
            self.resource.children.append(child.resource)

    def _check(self) -> None:
        check_parent(self.resource, self._options)
        check_callers(self.resource)
        check_keys(self.resource)
        check_bodies(self.resource, self.own_hooks, self._options)

    def _build_whole(self) -> None:
        """Builds all routes or, where one is refused, none: a second look must be refused too, and not find a part."""
        written, sockets = list(self._written), list(self._sockets)
        self._is_built = True
        try:
            self._build()
        except BaseException:
            self._is_built, self._written, self._sockets = False, written, sockets
            raise

    def _build(self) -> None:
        self._drop(lambda route: True)
        self._first.clear()
        # The router's own routes first, then those written by hand: one of the same path replaces it, whichever was
        # declared first.
        written, self._written = self._written, []
        self._add_routes()
        for path, endpoint, options in written:
            self.add_api_route(path, endpoint, **options)
        sockets, self._sockets = self._sockets, []
        for path, endpoint, name, dependencies in sockets:
            self.add_api_websocket_route(path, endpoint, name, dependencies=dependencies)
        # FastAPI joins it to that of every router that is included.
        self.lifespan_context = self._own_lifespan
        for router, dependencies, options in self._included:
            self._include(router, dependencies, options)
        for child in self._children:
            super().include_router(child, prefix="".join(f"/{{{key.parameter}}}" for key in self.resource.keys))
            self._made.append(self._routes[-1])

    def _include(self, router: APIRouter, dependencies: Any, options: dict[str, Any]) -> None:
        check_included(self.resource, router)
        guard = Depends(Guard(lambda: self.resource))
        super().include_router(router, dependencies=[guard, *(dependencies or ())], **options)
        self._made.append(self._routes[-1])
        if has_fixed_paths(router, options.get("prefix", "")):
            self._first.append(self._routes[-1])
            self._routes.sort(key=self._place)

    def _place(self, route: Any) -> tuple[int, ...]:
        return (0,) if any(route is each for each in self._first) else place_of(route)

    def _add_routes(self) -> None:
        left_out = set(self._options.get("without", ()))
        self._building = True
        try:
            for spec in routes_of(self.resource, self._options):
                if spec.kind not in left_out:
                    self.add_api_route(spec.path, spec.endpoint, methods=[spec.method], **spec.options)
        finally:
            self._building = False

    def _drop(self, is_meant: Callable[[Any], bool]) -> None:
        gone = [route for route in self._made if is_meant(route)]
        self._made = [route for route in self._made if not any(route is each for each in gone)]
        self._routes[:] = [route for route in self._routes if not any(route is each for each in gone)]

    def _access_to(self, path: str, options: dict[str, Any]) -> list[DependsMarker]:
        """The default checks of a route that is written by hand: the caller may, and may see the row of its path."""
        given = [each.dependency for each in options.get("dependencies") or ()]
        reads = set(options.get("methods") or ["GET"]) <= {"GET", "HEAD"}
        names_row = all(f"{{{key.parameter}" in path for key in self.resource.keys)
        if any(isinstance(each, CallLater) for each in given):
            # A route that names its own check looks the row up too: it may be one that counts as deleted.
            return []
        action: Action = ("read" if names_row else "list") if reads else "update"
        row = [Depends(RowOf(lambda: self.resource, "read" if reads else "update"))] if names_row else []
        return [self.allowing(action), *row]

    def _guarded(self) -> Callable[[Resource], bool]:
        """Says of a resource whether its router, or one above, has dependencies of its own."""
        guarded = {id(each.resource) for each in self._tree() if each.dependencies}
        return lambda resource: any(id(each) in guarded for each in (resource, *resource.parents()))

    def _tree(self) -> Iterator[ModelRouter]:
        yield self
        for child in self._children:
            yield from child._tree()


def _check_alone(label: str, children: Sequence[ModelRouter]) -> None:
    """Raises ConfigurationError where one of the `children` has a parent, or is there twice."""
    # It asks the parent that it got last for callers and rows: below the others it would be as open as below that one.
    for number, child in enumerate(children):
        if child.resource.parent is not None or any(child is each for each in children[:number]):
            raise ConfigurationError(
                f"{label}: children= has {child.resource.label}, which is a child already. Make a router for each "
                "parent, as by a function that returns one."
            )
