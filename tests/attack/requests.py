"""Requests to an API of the models of examples/companies, made from its OpenAPI: ids and names in every position."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from companies.models import Company, CostCentre, Department, Employee, Team

MODELS = {
    "company_id": Company,
    "department_id": Department,
    "team_id": Team,
    "employee_id": Employee,
    "cost_centre_id": CostCentre,
}
LISTS = {
    "companies": Company,
    "departments": Department,
    "teams": Team,
    "employees": Employee,
    "cost-centres": CostCentre,
    "staff": Employee,
    "squads": Team,
}
# The fields of bodies that name a row, or hold one, by what they are called.
TO_ONE = {"cost_centre": CostCentre, "team": Team, "department": Department, "company": Company}
TO_ONE |= {f"{name}_id": model for name, model in TO_ONE.items()}
TO_MANY = {"departments": Department, "teams": Team, "employees": Employee}
MEASURED = ("*", "size", "departments", "employees", "founded", "budget", "teams", "salary")
Rows = dict[type, Any]


@dataclass
class Sent:
    """One request."""

    method: str
    path: str
    params: dict[str, Any] = field(default_factory=dict)
    json: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.params} {self.json}"


class Requests:
    """Everything that can be sent.

    Args:
        own: Rows of the caller, by model.
        foreign: Rows of the other tenant.
        linked: Rows of the caller that lead to rows of the other tenant.
    """

    def __init__(self, openapi: dict[str, Any], own: Rows, foreign: Rows, linked: Rows | None = None) -> None:
        self._openapi = openapi
        self._own = own
        self._foreign = foreign
        self._linked = linked or {}
        self._numbers = itertools.count()

    def names_foreign(self, sent: Sent) -> bool:
        """Whether a request names a row of the other tenant: in its path, or in its body."""
        parts = sent.path.split("/")
        in_path = any(
            key == str(self._foreign[LISTS[name]].pk) for name, key in itertools.pairwise(parts) if name in LISTS
        )
        if sent.method == "POST":
            # A new row has no key: one that is sent is a field that there is not, and is ignored.
            return in_path or self._is_foreign(None, _without_keys(sent.json))
        return in_path or self._is_foreign(LISTS.get(parts[-1]) or LISTS.get(parts[-2]), sent.json)

    def _is_foreign(self, model: type | None, value: Any) -> bool:
        """Whether a body of a row of `model`, or a list of them, names a row of the other tenant."""
        if isinstance(value, list):
            return any(self._is_foreign(model, each) for each in value)
        if not isinstance(value, dict):
            return False
        keys = {"id": model, **TO_ONE}
        named = any(value.get(name) == self._foreign[each].pk for name, each in keys.items() if each is not None)
        inner = {**TO_ONE, **LISTS}
        return named or any(self._is_foreign(inner[name], value[name]) for name in inner.keys() & value.keys())

    def all(self) -> Iterator[Sent]:
        for path, item in self._openapi["paths"].items():
            for method, operation in item.items():
                for made, key in self._paths(path):
                    yield from self._of(method.upper(), made, key, operation)
                    if method == "get":
                        yield Sent("HEAD", made)

    def _of(self, method: str, path: str, key: Any, operation: dict[str, Any]) -> Iterator[Sent]:
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "schema" in content:
            for body in self._bodies(content["schema"], key):
                yield Sent(method, path, json=body)
        else:
            yield Sent(method, path)
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            if parameter["in"] == "query" and name not in ("cursor", "limit"):
                for value in self._values(name, parameter["schema"]):
                    yield Sent(method, path, {name: value})
                    if name == "order_by":
                        # The cursor of the next page holds the values of the order.
                        yield Sent(method, path, {name: value, "limit": 1})
                    if name not in ("order_by", "group_by", "search", "total"):
                        yield Sent(method, path, {f"!{name}": value})

    def _paths(self, path: str) -> Iterator[tuple[str, Any]]:
        """The path with every choice of own, foreign and no ids, and the own key that its last part would have."""
        names = [name for name in MODELS if f"{{{name}}}" in path]
        model = MODELS[names[-1]] if names else LISTS.get(path.removeprefix("/v1").split("/")[1], Company)
        kinds = [self._kinds(MODELS[name]) for name in names]
        for choice in itertools.product(*kinds):
            key = self._key(model, choice[-1] if choice and choice[-1] == "linked" else "own")
            made = path
            for name, kind in zip(names, choice, strict=True):
                made = made.replace(f"{{{name}}}", str(self._key(MODELS[name], kind)))
            if "{function}" not in made:
                yield made, key
                continue
            functions = ("count",) if self._linked else ("count", "sum", "max")
            for function, column in itertools.product(functions, MEASURED):
                yield made.replace("{function}", function).replace("{field}", column), key

    def _kinds(self, model: type) -> list[str]:
        # Each kind more multiplies the paths: where there are such rows, the others are asked for in the other API.
        return ["own", "foreign", "linked" if model in self._linked else "none"]

    def _key(self, model: type, kind: str) -> Any:
        rows = {"own": self._own, "foreign": self._foreign, "linked": self._linked}
        return 10**9 if kind == "none" else rows[kind][model].pk

    def _values(self, name: str, schema: dict[str, Any]) -> Iterator[Any]:
        kind = schema.get("items", schema)
        if "enum" in kind:
            yield from kind["enum"]
        elif kind.get("type") == "boolean":
            yield from ("true", "false")
        elif kind.get("type") == "integer" and "__id" in name:
            yield from {rows[model].pk for rows in (self._own, self._foreign) for model in rows}
        elif kind.get("format") in ("date", "date-time"):
            yield from ("2020-01-02", "1999-09-09")
        elif kind.get("type") == "string" and "pattern" not in kind and "anyOf" not in kind:
            yield from ("own", "foreign", "for")
        else:
            yield from ("0", "1", "5", "77")

    def _bodies(self, schema: dict[str, Any], key: Any) -> Iterator[Any]:
        found = self._resolved(schema)
        if found.get("type") == "array":
            for body in self._objects(found["items"], key):
                yield [body]
                yield [self._plain(found["items"], key), body]
        else:
            yield from self._objects(found, key)

    def _objects(self, schema: dict[str, Any], key: Any) -> Iterator[dict[str, Any]]:
        """A valid body, and this with each field that names a row, or holds a text, as another tenant's has it."""
        properties = self._resolved(schema).get("properties", {})
        yield self._plain(schema, key)
        for name, found in properties.items():
            for value in self._foreign_values(name, self._resolved(found), key):
                yield {**self._plain(schema, key), name: value}

    def _foreign_values(self, name: str, schema: dict[str, Any], key: Any) -> Iterator[Any]:
        if name == "id":
            yield from (row.pk for row in self._foreign.values())
        elif schema.get("type") == "array" and name in TO_MANY:
            model, plain = TO_MANY[name], self._plain(schema["items"], None)
            yield []
            for kind in self._kinds(model):
                yield [{**plain, "id": self._key(model, kind)}]
            yield from ([inner] for inner in self._objects(schema["items"], None) if inner != plain)
            for kind in ("linked",) if model in self._linked else ():
                for inner in self._objects(schema["items"], None):
                    yield [{**inner, "id": self._key(model, kind)}]
        elif schema.get("type") == "object" and name in TO_ONE:
            yield None
            for kind in self._kinds(TO_ONE[name]):
                yield {**self._plain(schema, None), "id": self._key(TO_ONE[name], kind)}
            yield from self._objects(schema, None)
        elif name in TO_ONE:
            yield None
            yield from (self._key(TO_ONE[name], kind) for kind in self._kinds(TO_ONE[name]))
        elif schema.get("type") == "string" and "enum" not in schema:
            yield "foreign@example.com" if schema.get("format") == "email" else "foreign"

    def _plain(self, schema: dict[str, Any], key: Any) -> dict[str, Any]:
        """What a valid body may be: all that is required, and nothing that names a row but the own `key`."""
        found = self._resolved(schema)
        number = next(self._numbers)
        body = {
            name: self._some(self._resolved(found["properties"][name]), number) for name in found.get("required", [])
        }
        if "id" in found.get("required", []):
            body["id"] = key
        # A key that is required is of a row of one's own.
        return body | {name: self._key(TO_ONE[name], "own") for name in TO_ONE.keys() & body.keys() if body[name] == 1}

    def _some(self, schema: dict[str, Any], number: int) -> Any:
        if schema.get("type") == "array":
            return []
        if schema.get("type") == "object":
            return self._plain(schema, None)
        if schema.get("type") in ("integer", "number"):
            return 1
        return f"new{number}@example.com" if schema.get("format") == "email" else f"new{number}"

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return self._resolved(self._openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        for each in schema.get("anyOf", []):
            if each.get("type") != "null":
                return self._resolved(each)
        return schema


def _without_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_keys(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_keys(each) for key, each in value.items() if key != "id"}
