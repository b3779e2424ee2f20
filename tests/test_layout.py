"""The rules that the package's files keep among themselves, read from their syntax trees."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

import djfast_mount

pytestmark = pytest.mark.once

PACKAGE = Path(djfast_mount.__file__).parent
TESTS = Path(__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# They look on from outside: nobody imports them but one another.
EDGES = {"testing", "pytest_plugin", "apps", "checks", "doctor", "management", "dashboard"}
HOSTS = {"asgiref", "anyio", "starlette", "fastapi", "django", "opentelemetry", "whitenoise"}
# Who uses names of other packages that are not public, and whose head lists them.
PRIVATE_NAMES_LISTED_IN = {
    "database.session_state": "database.session_state",
    "database.signals": "database.signals",
    "database.watched_cursors": "database.watched_cursors",
    "django_for_api.csrf": "django_for_api.csrf",
    "django_for_api.responses": "django_for_api.responses",
    "django_half.handler": "django_half.handler",
    "django_half.joined_middleware": "django_half.joined_middleware",
    "django_half.private_names": "django_half.private_names",
    "django_half.view_guess": "django_half.view_guess",
    "fastpath.answer": "fastpath.private_names",
    "fastpath.before_stack": "fastpath.private_names",
    "fastpath.body": "fastpath.private_names",
    "fastpath.dependencies": "fastpath.private_names",
    "fastpath.eligibility": "fastpath.private_names",
    "fastpath.yield_dependencies": "fastpath.private_names",
    "fastpath.errors": "fastpath.private_names",
    "fastpath.front": "fastpath.private_names",
    "fastpath.parameters": "fastpath.private_names",
    "fastpath.private_names": "fastpath.private_names",
    "fastpath.refusals": "fastpath.private_names",
    "fastpath.route_index": "fastpath.private_names",
    "fastpath.source": "fastpath.private_names",
    "fastpath.vocabulary": "fastpath.private_names",
    "fastpath.telemetry": "fastpath.private_names",
    "offload.private_names": "offload.private_names",
    "offload.run": "offload.private_names",
    "pytest_plugin": "pytest_plugin",
    "routing.fastapi_frontend": "routing.fastapi_frontend",
    "schemas.queryset_internals": "schemas.queryset_internals",
    "schemas.writing.rows": "schemas.writing.rows",
    "telemetry.routes": "telemetry.routes",
    "telemetry.sentry": "telemetry.sentry",
    "transactions": "transactions",
}
# Documented, though they begin so: of a model and its instances, and of a named tuple; and Python's own.
DOCUMENTED = {
    *("_meta", "_state", "_default_manager", "_base_manager", "_asdict"),
    *("_exit", "_getframe", "_current_frames", "_create_unverified_context"),
}
PRIVATE_NAME = re.compile(r"_[a-zA-Z]\w*[a-zA-Z0-9]")
# What begins so and is written as a string, and is no name of others: attributes of requests, words in queries.
OUR_STRINGS = re.compile(r"_djfast_mount_\w+|_value|_measure|_id|_sa|_lock|_all|_OTHER")
LAZY_IMPORTS_ALLOWED = {"__init__", "pytest_plugin"}
WORDS_TO_AVOID = {"manager", "helper", "util", "utils", "wrapper", "bridge", "adapter", "base", "core", "common"}

# The rooms, the lowest first. No two of one line know one another.
RANKS = (
    {"exceptions", "headers", "options", "spelling", "threads"},
    {"conf", "logs", "offload", "routing"},
    {"apis", "database", "fastpath", "security", "url_names"},
    {"checks", "django_half", "lifespan", "schemas", "staticfiles", "transactions"},
    {"apps", "django_for_api", "request_thread"},
    {"auth", "exception_handlers", "health", "testing"},
    {"api_docs", "crud", "objects", "preparation", "pytest_plugin", "route_table", "telemetry", "tokens"},
    {"application", "doctor", "urls"},
    {"asgi", "dashboard", "templatetags"},
    {"management"},
)
# Called by StaticFiles alone, which has looked at the type.
NEVER_CALLED_FOR_A_LIFESPAN = {"DjangoRequests", "FileResponse", "RedirectResponse"}

# What puts a layer around an app, or into a FastAPI. djfast_mount.asgi alone calls it.
LAYERS = {
    *("DjangoMiddleware", "DjangoRequests", "with_django_settings", "call_view_hooks"),
    *("before", "shortest_way", "straighten", "leave_to_fastapi", "meeting_new_ones"),
    *("add_exception_handlers", "honour_atomic_requests"),
    *("fall_through", "make_handler", "StaticFiles", "MountedApplication"),
}

LONGEST_CHAIN = 9

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Import(NamedTuple):
    """One imported name: `from module import name as bound`, or `import module as bound`."""

    module: str
    name: str
    bound: str

    @property
    def top(self) -> str:
        return self.module.split(".")[0]

    @property
    def room(self) -> str:
        """The module of the package that is imported."""
        parts = [*self.module.split(".")[1:], self.name]
        candidates = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((candidate for candidate in candidates if candidate in FILES), "__init__")


@cache
def tree(room: str) -> ast.Module:
    return ast.parse(FILES[room].read_text())


@cache
def nodes(room: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(room)))


def names_of(node: ast.Import | ast.ImportFrom) -> Iterator[Import]:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield Import(node.module or "", alias.name, alias.asname or alias.name)
        else:
            yield Import(alias.name, "", alias.asname or alias.name.split(".")[0])


def nodes_at_import(node: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    """`node` and all below it that counts when the module is imported: nothing under `if TYPE_CHECKING`, nor what a
    `lazy` module does in its functions."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if not (lazy and isinstance(child, Function)):
            yield from nodes_at_import(child, lazy=lazy)


@cache
def imports(room: str) -> tuple[Import, ...]:
    loaded = nodes_at_import(tree(room), lazy=room in LAZY_IMPORTS_ALLOWED)
    return tuple(found for node in loaded if isinstance(node, ast.Import | ast.ImportFrom) for found in names_of(node))


def rooms_imported(room: str) -> set[str]:
    return {found.room for found in imports(room) if found.top == "djfast_mount"}


@cache
def reached_from(room: str) -> frozenset[str]:
    """Every module of the package that is loaded with `room`, and `room` itself."""
    found, waiting = {room}, [room]
    while waiting:
        new = rooms_imported(waiting.pop()) - found
        found |= new
        waiting += new
    return frozenset(found)


@cache
def rooms_named(room: str) -> frozenset[str]:
    """Every module of the package that `room` imports, for types and in functions too; not the lazy root's."""
    if room == "__init__":
        return frozenset()
    named = (node for node in nodes(room) if isinstance(node, ast.Import | ast.ImportFrom))
    found = (item.room for node in named for item in names_of(node) if item.top == "djfast_mount")
    return frozenset(found) - {room, "__init__"}


@cache
def longest_chain(room: str) -> tuple[str, ...]:
    """The longest chain of imports that begins with `room`. Recursion without end means a circle."""
    return (room, *max((longest_chain(below) for below in rooms_named(room)), key=len, default=()))


@cache
def functions(room: str) -> list[Function]:
    return [node for node in nodes(room) if isinstance(node, Function)]


def wrong(found: Callable[[str], object]) -> dict[str, object]:
    """What is wrong, by module. One test for all: a test for each of them would cost the suite a minute."""
    return {room: problem for room in FILES if (problem := found(room))}


def test_there_is_something_to_read() -> None:
    """The rules are held against the package's real files."""
    assert {"__init__", "asgi", "routing.prefixes", "lifespan.participants", "threads.pool"} <= set(FILES)


def test_nothing_is_imported_in_a_circle() -> None:
    """No module loads one that loads it."""
    assert wrong(lambda room: {below for below in rooms_imported(room) if room in reached_from(below)}) == {}


def test_no_circle_through_types() -> None:
    """Imports under `if TYPE_CHECKING` go down as well."""
    waiting = {room: set(rooms_named(room)) for room in FILES}
    while ends := {room for room, below in waiting.items() if not below}:
        waiting = {room: below - ends for room, below in waiting.items() if room not in ends}
    assert waiting == {}


def test_chains_are_short() -> None:
    """No chain of imports is longer than nine, imports for types counted."""
    chain = max(map(longest_chain, FILES), key=len)
    assert len(chain) <= LONGEST_CHAIN, " -> ".join(chain)


def test_modules_stand_on_few_others() -> None:
    """No module imports more than fourteen of ours."""
    assert wrong(lambda room: len(rooms_named(room)) > 14 and sorted(rooms_named(room))) == {}


def test_few_files_stand_outside_of_the_rooms() -> None:
    """What lies in the package's own folder is a public face or a leaf."""
    assert len(list(PACKAGE.glob("*.py"))) <= 18


def test_arrows_go_down() -> None:
    """asgi, which composes, and the edges, which look on from outside, are imported by nothing that they stand on."""
    assert wrong(lambda room: not on_the_edge(room) and {*filter(looks_on, rooms_imported(room))}) == {}


def looks_on(room: str) -> bool:
    return room == "asgi" or on_the_edge(room)


def test_rooms_know_no_room_above_them() -> None:
    """A room imports from rooms of lower ranks alone, for types too: no two rooms know one another."""
    assert wrong(imports_from_above) == {}


def imports_from_above(room: str) -> set[str]:
    top = room.split(".", maxsplit=1)[0]
    if top.startswith("__"):
        return set()
    above = {name for rank in RANKS[rank_of(top) :] for name in rank} - {top}
    return {below for below in rooms_named(room) if below.split(".", maxsplit=1)[0] in above}


def rank_of(top: str) -> int:
    return next(index for index, rank in enumerate(RANKS) if top in rank)


def on_the_edge(room: str) -> bool:
    return room.split(".", maxsplit=1)[0] in EDGES


@pytest.mark.parametrize("room", ["routing.prefixes", "lifespan.participants", "threads.pool"])
def test_some_rooms_know_neither_django_nor_fastapi(room: str) -> None:
    """Dispatch, lifespan and threads can be read and tested by anyone who knows ASGI and threads."""
    loaded = {found.top for below in reached_from(room) for found in imports(below)}
    assert loaded <= {*sys.stdlib_module_names, "starlette", "djfast_mount"}


def test_threads_needs_the_standard_library_alone() -> None:
    """Nothing else is loaded with the pool and the rooms that it was divided into."""
    loaded = {found.top for below in reached_from("threads.pool") for found in imports(below)}
    assert loaded <= {*sys.stdlib_module_names, "djfast_mount"}


def test_nothing_is_imported_in_a_function() -> None:
    """Imports stand at the top; only the lazy root and pytest's fixtures import later."""
    assert {*wrong(imports_in_functions)} <= LAZY_IMPORTS_ALLOWED
    assert {*wrong(lambda room: "PLC0415" in FILES[room].read_text())} <= LAZY_IMPORTS_ALLOWED


def imports_in_functions(room: str) -> list[str]:
    return [ast.unparse(node) for function in functions(room) for node in ast.walk(function) if is_import(node)]


def is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


@cache
def own_names(room: str) -> frozenset[str]:
    """The names that `room` gives: to functions, classes and variables, and to attributes of `self`."""
    found: set[str] = set()
    for node in nodes(room):
        if isinstance(node, Function | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            found.add(node.attr)
    return frozenset(found)


@cache
def names_of_the_package() -> frozenset[str]:
    return frozenset(name for room in FILES for name in own_names(room))


@cache
def private_names(room: str) -> frozenset[str]:
    """The names of others that are not public: imported, reached as attributes of whatever it may be, or as strings.

    A name that `room` itself gives to something is not seen here: overrides are found by `overridden()`.
    """
    from_hosts = [found for found in imports(room) if found.top in HOSTS]
    found = {part for item in from_hosts for part in f"{item.module}.{item.name}".split(".") if private(part)}
    # Elsewhere objects of ours know one another's names.
    ours = own_names(room) if room in PRIVATE_NAMES_LISTED_IN else names_of_the_package()
    for node in nodes(room):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in ours:
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PRIVATE_NAME.fullmatch(node.value):
            found |= {node.value} - own_names(room) - DOCUMENTED if not OUR_STRINGS.fullmatch(node.value) else set()
    return frozenset(found)


def overridden(room: str) -> set[str]:
    """The private names that a class of `room` gives to something, and that a class of a host's above it has too."""
    module = importlib.import_module(f"djfast_mount.{room}")
    found: set[str] = set()
    for kind in [
        kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__
    ]:
        above = [other for other in kind.__mro__ if other.__module__.split(".")[0] in HOSTS]
        found |= {name for name in vars(kind) if private(name) and any(name in vars(other) for other in above)}
    return found - PYTHONS_OWN


PYTHONS_OWN = {"_abc_impl", "_is_protocol", "_abc_data"}


def test_private_names_stand_where_they_are_listed() -> None:
    """What other packages keep to themselves is used in few rooms, and the head of one of these names it."""
    assert wrong(lambda room: private_names(room) - words_at_the_head(PRIVATE_NAMES_LISTED_IN.get(room))) == {}


def words_at_the_head(room: str | None) -> set[str]:
    return set() if room is None else set(re.findall(r"\w+", ast.get_docstring(tree(room)) or ""))


def test_overridden_private_names_are_listed() -> None:
    """A method of a host's that is not public, and that a class of ours replaces, is named too."""
    assert wrong(overridden_unlisted) == {}


def overridden_unlisted(room: str) -> set[str]:
    if room.startswith(("management", "testing", "tokens")):
        return set()
    return overridden(room) - words_at_the_head(PRIVATE_NAMES_LISTED_IN.get(room, room))


def test_private_names_have_canaries() -> None:
    """Each is named in a test, or in a list that a test goes through: it fails on the day that the name moves."""
    listed = {*PRIVATE_NAMES_LISTED_IN}
    assert wrong(lambda room: room in listed and private_names(room) - words_of_tests() - names_in_lists()) == {}


@cache
def words_of_tests() -> frozenset[str]:
    texts = (path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    return frozenset(word for text in texts for word in re.findall(r"\b_\w+", text))


@cache
def names_in_lists() -> frozenset[str]:
    lists = ("fastpath.private_names", "offload.private_names", "django_half.private_names")
    strings = (node for room in lists for node in nodes(room) if isinstance(node, ast.Constant))
    return frozenset(node.value for node in strings if isinstance(node.value, str))


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("offload.private_names", {"_restore_context", "_next", "_task_states", "_rehome"}),
        ("fastpath.private_names", {"_native_telemetry", "_solve_generator", "_RUNTIME_CONTEXT"}),
        ("database.signals", {"_live_receivers", "_urlconfs", "_storage"}),
        ("transactions", {"_non_atomic_requests"}),
        ("pytest_plugin", {"_fixtureinfo"}),
    ],
)
def test_private_names_are_seen(room: str, names: set[str]) -> None:
    """The search finds those that are known to be there: through `Any`, as strings, of Django and of pytest."""
    assert names <= private_names(room)


def first_use_of_scope(function: Function) -> str:
    """The first expression in which `function` looks into its scope, in the order of the source."""
    uses = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript | ast.Attribute) and ast.unparse(node.value) == "scope"
    ]
    first = min(uses, key=lambda node: (node.lineno, node.col_offset), default=None)
    return "" if first is None else ast.unparse(first)


def scope_takers() -> list[tuple[str, Function]]:
    """The dispatcher, and every `__call__` with a scope and a send, each with the name of its class."""
    return [
        (node.name, item)
        for room in FILES
        for node in nodes(room)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, Function)
        and item.name in ("__call__", "_dispatch")
        and {"scope", "send"} <= {argument.arg for argument in item.args.args}
    ]


def test_every_call_looks_at_the_type_first() -> None:
    """No ASGI callable looks for anything in a scope before it knows what kind of scope it is."""
    takers = scope_takers()
    assert {"MountedApplication", "StaticFiles"} <= {name for name, _ in takers}
    others = {name for name, function in takers if first_use_of_scope(function) not in ("scope['type']", "")}
    assert others == NEVER_CALLED_FOR_A_LIFESPAN


def called(room: str) -> set[str]:
    """The names of what `room` calls, or binds arguments to."""
    calls = [node for node in nodes(room) if isinstance(node, ast.Call)]
    bound = [call.args[0] for call in calls if ast.unparse(call.func) == "partial" and call.args]
    return {ast.unparse(function).rpartition(".")[2] for function in [*bound, *(call.func for call in calls)]}


def test_one_module_puts_layers_around_one_another() -> None:
    """asgi lists every layer of both halves; no other module adds one."""
    assert called("asgi") >= LAYERS
    assert {room: found for room in FILES if room != "asgi" and (found := called(room) & LAYERS)} == {}


def test_files_are_short() -> None:
    """No file has more than 400 lines."""
    assert wrong(lambda room: len(FILES[room].read_text().splitlines()) > 400) == {}


def test_comments_are_neither_few_nor_many() -> None:
    """Of all lines, 4 to 10 % have a comment."""
    comments = lines = 0
    for path in FILES.values():
        text = path.read_text()
        lines += len(text.splitlines())
        comments += sum(token.type == tokenize.COMMENT for token in tokenize.generate_tokens(StringIO(text).readline))
    assert 0.04 <= comments / lines <= 0.1


def test_functions_are_short() -> None:
    """No function has more than 50 lines, its docstring left out."""
    assert wrong(lambda room: [function.name for function in functions(room) if length(function) > 50]) == {}


def length(function: Function) -> int:
    documented = function.body[0] if ast.get_docstring(function) is not None else None
    docstring = documented.end_lineno - documented.lineno + 1 if documented and documented.end_lineno else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


BRANCHES = (
    ast.If | ast.For | ast.AsyncFor | ast.While | ast.ExceptHandler | ast.IfExp | ast.match_case | ast.comprehension
)
NESTING = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match


def own_nodes(function: Function) -> Iterator[tuple[ast.AST, int]]:
    """The nodes of `function` with their depth, those of functions and classes defined in it left out."""
    waiting: list[tuple[ast.AST, int]] = [(node, 0) for node in function.body]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, Function | ast.ClassDef | ast.Lambda):
            continue
        depth += isinstance(node, NESTING)
        yield node, depth
        for child in ast.iter_child_nodes(node):
            # `elif` is an If in the `orelse` of an If: no step deeper for its reader.
            chained = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
            waiting.append((child, depth - chained))


def test_functions_have_few_branches() -> None:
    """No function has more than fourteen branches."""
    assert wrong(lambda room: [function.name for function in functions(room) if branches(function) > 14]) == {}


def branches(function: Function) -> int:
    return 1 + sum(branches_at(node) for node, _ in own_nodes(function))


def branches_at(node: ast.AST) -> int:
    return len(node.values) - 1 if isinstance(node, ast.BoolOp) else isinstance(node, BRANCHES)


def test_functions_are_flat() -> None:
    """No function nests more than three blocks."""
    assert wrong(lambda room: [function.name for function in functions(room) if nesting(function) > 3]) == {}


def nesting(function: Function) -> int:
    return max((depth for _, depth in own_nodes(function)), default=0)


def test_names_say_what_things_are() -> None:
    """No module, class or function is named by a word that says nothing."""
    assert wrong(words_without_meaning) == {}


def words_without_meaning(room: str) -> set[str]:
    defined = [node.name for node in nodes(room) if isinstance(node, Function | ast.ClassDef)]
    defined = [name for name in defined if not name.startswith("__")]  # The names of protocols are their hosts'.
    words = {word.lower() for name in [room, *defined] for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return words & WORDS_TO_AVOID


def test_no_module_bears_the_name_of_a_root_export() -> None:
    """A module of that name would take the export's place once it is imported."""
    assert set(djfast_mount.__all__) & set(FILES) == set()


def modules_without_tests() -> set[str]:
    """The modules that have no test file of their name in the folder of their room, and are named at no test's head."""
    heads = {path: ast.get_docstring(ast.parse(path.read_text())) or "" for path in TESTS.rglob("test_*.py")}
    named = {name for head in heads.values() for name in re.findall(r"`([\w/]+\.py)`", head)}
    places = {path.relative_to(PACKAGE) for path in FILES.values() if path.name != "__init__.py"}
    without = {place for place in places if TESTS / place.with_name(f"test_{place.name}") not in heads}
    return {str(place) for place in without if "migrations" not in place.parts} - named


def test_tests_mirror_the_rooms() -> None:
    """For each module there is tests/<room>/test_<module>.py, or a test file whose head says that it holds it."""
    assert modules_without_tests() == set()


def test_each_planted_fault_has_its_place() -> None:
    """The code that `nox -s mutants` changes stands where its list says, once, and the tests are there."""
    for mutant in tomllib.loads((TESTS / "mutants" / "mutants.toml").read_text())["mutant"]:
        places = {PACKAGE / mutant["file"], *(TESTS.parent / test.partition("::")[0] for test in mutant["tests"])}
        assert {place for place in places if not place.exists()} == set(), mutant["what"]
        assert (PACKAGE / mutant["file"]).read_text().count(mutant["old"]) == 1, mutant["what"]
