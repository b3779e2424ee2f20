"""ModelRouter over HTTP: what each route answers.

Holds `crud/access/call.py`, `crud/access/call_dependency.py`, `crud/access/scopes.py`, `crud/declaring/keys.py`,
`crud/declaring/resource.py`, `crud/routes/dependencies.py`, `crud/routes/specs.py`, `crud/writing/writes.py`,
`crud/writing/etags.py`, `crud/writing/bodies.py` and `crud/writing/changes.py`.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from crud.serving import Api, ok
from project.companies.models import Company, CompanyDepartment, Label

pytestmark = pytest.mark.django_db


def company(name: str = "Ada & Co", tenant: int = 1, **values: Any) -> Company:
    slug = f"c{Company.objects.count()}"
    return Company.objects.create(**{"name": name, "slug": slug, "tenant_id": tenant, **values})


def test_a_list(api: Api) -> None:
    """Items, where to go on, and no total unless it is asked for."""
    for name in "cab":
        company(name)
    found = ok(api.get("/companies", params={"limit": 2}))
    assert [item["name"] for item in found["items"]] == ["a", "b"]
    assert found["total"] is None
    found = ok(api.get("/companies", params={"limit": 2, "cursor": found["next"], "total": "true"}))
    assert [item["name"] for item in found["items"]] == ["c"]
    assert found["total"] == 3
    assert found["next"] is None


def test_links(api: Api, root_path: str) -> None:
    """`Link` leads to the other pages, at the URL that the client knows, with its filters."""
    for name in "abc":
        company(name)
    answer = api.get("/companies", params={"limit": 1, "status": "open"})
    assert answer.links["next"]["url"].startswith(f"{root_path}/api/companies?limit=1&status=open&cursor=")
    second = api.get(answer.links["next"]["url"].removeprefix(root_path).removeprefix("/api"))
    assert [item["name"] for item in ok(second)["items"]] == ["b"]
    first = api.get(second.links["prev"]["url"].removeprefix(root_path).removeprefix("/api"))
    assert [item["name"] for item in ok(first)["items"]] == ["a"]
    assert "prev" not in first.links


def test_creation(api: Api, root_path: str) -> None:
    """201, with where it is and its tag; the server's own values are set."""
    answer = api.post("/companies", json={"name": "New", "slug": "new", "labels": []})
    found = ok(answer, 201)
    row = Company.objects.get(pk=found["id"])
    assert (row.tenant_id, row.name) == (1, "New")
    assert answer.headers["location"] == f"{root_path}/api/companies/{row.pk}"
    read = api.get(f"/companies/{row.pk}")
    assert ok(read) == found
    assert read.headers["etag"] == answer.headers["etag"]


def test_changes(api: Api) -> None:
    """PATCH changes what was sent; null is a value."""
    row = company(size=5, rating="1.50")
    found = ok(api.patch(f"/companies/{row.pk}", json={"size": None}))
    assert found["size"] is None
    assert found["rating"] == "1.50"
    row.refresh_from_db()
    assert (row.size, str(row.rating)) == (None, "1.50")


def test_replacement(api: Api) -> None:
    """PUT sets everything: what was not sent is as in a new row. A second one changes nothing."""
    row = company(size=5, rating="1.50", listed=True)
    assert api.put(f"/companies/{row.pk}", json={"size": 1}).status_code == 422
    sent = {"name": "B", "slug": row.slug, "size": 7}
    first = ok(api.put(f"/companies/{row.pk}", json=sent))
    assert (first["name"], first["size"], first["rating"], first["listed"]) == ("B", 7, None, False)
    assert ok(api.put(f"/companies/{row.pk}", json=sent)) == first


def test_deletion(api: Api) -> None:
    """204, and then 404: the row is marked and in no list, but for a filter of the mark."""
    row = company()
    assert api.delete(f"/companies/{row.pk}").status_code == 204
    row.refresh_from_db()
    assert row.status == "closed"
    assert api.get(f"/companies/{row.pk}").status_code == 404
    assert api.delete(f"/companies/{row.pk}").status_code == 404
    assert api.patch(f"/companies/{row.pk}", json={"name": "x"}).status_code == 404
    assert api.get(f"/companies/{row.pk}/departments").status_code == 404
    assert ok(api.get("/companies"))["items"] == []
    assert ok(api.get("/companies/aggregate/count/*"))["values"] == [{"value": 0}]
    assert [item["id"] for item in ok(api.get("/companies?status=closed"))["items"]] == [row.pk]


def test_children(api: Api) -> None:
    """Departments and their teams are read and written below their company, and nowhere else."""
    row, other = company(), company("Other")
    department = ok(api.post(f"/companies/{row.pk}/departments", json={"name": "IT"}), 201)
    assert department["company"] == row.pk
    team = ok(api.post(f"/companies/{row.pk}/departments/{department['id']}/teams", json={"name": "A"}), 201)
    path = f"/companies/{row.pk}/departments/{department['id']}/teams/{team['id']}"
    assert ok(api.get(path))["name"] == "A"
    assert ok(api.patch(path, json={"name": "B"}))["name"] == "B"
    assert api.get(path.replace(f"companies/{row.pk}", f"companies/{other.pk}")).status_code == 404
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404
    assert ok(api.get(f"/companies/{other.pk}/departments"))["items"] == []


def test_preconditions(api: Api) -> None:
    """A stale If-Match is 412 and changes nothing; a fresh one passes; If-None-Match is 304."""
    row = company()
    tag = api.get(f"/companies/{row.pk}").headers["etag"]
    assert api.get(f"/companies/{row.pk}", headers={"If-None-Match": tag}).status_code == 304
    assert api.patch(f"/companies/{row.pk}", json={"name": "B"}, headers={"If-Match": tag}).status_code == 200
    stale = api.patch(f"/companies/{row.pk}", json={"name": "C"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert api.delete(f"/companies/{row.pk}", headers={"If-Match": tag}).status_code == 412
    assert api.get(f"/companies/{row.pk}", headers={"If-None-Match": tag}).status_code == 200
    fresh = api.patch(f"/companies/{row.pk}", json={"name": "C"}, headers={"If-Match": stale.headers["etag"]})
    assert ok(fresh)["name"] == "C"


def test_bulk(api: Api) -> None:
    """Several rows are written all or not at all, in the order in which they were sent."""
    sent = [{"name": name, "slug": name, "labels": []} for name in ("z", "y")]
    made = ok(api.post("/companies/bulk", json=sent), 201)
    assert [item["name"] for item in made] == ["z", "y"]
    again = api.post("/companies/bulk", json=[{"name": "x", "slug": "x", "labels": []}, sent[0]])
    assert again.status_code == 422, again.text
    assert again.json()["detail"][0]["loc"][:2] == ["body", 1]
    assert Company.objects.count() == 2
    changes = [{"id": item["id"], "size": number} for number, item in enumerate(made)]
    assert [item["size"] for item in ok(api.patch("/companies", json=changes))] == [0, 1]
    missing = api.patch("/companies", json=[{"id": made[0]["id"], "size": 9}, {"id": 10**9, "size": 9}])
    assert missing.status_code == 422
    assert Company.objects.filter(size=9).count() == 0


def test_aggregates(api: Api) -> None:
    """Numbers over the rows that are filtered, as a whole and in groups."""
    for size, status in ((1, "open"), (2, "open"), (None, "paused")):
        row = company(size=size, status=status)
        row.departments.create(name="d")
        row.departments.create(name="e")
    assert ok(api.get("/companies/aggregate/sum/size"))["values"] == [{"value": 3}]
    assert ok(api.get("/companies/aggregate/count/*?size__gte=2"))["values"] == [{"value": 1}]
    assert ok(api.get("/companies/aggregate/count/departments"))["values"] == [{"value": 6}]
    grouped = ok(api.get("/companies/aggregate/sum/size?group_by=status&order_by=-value"))["values"]
    assert grouped == [{"value": 3, "status": "open"}, {"value": None, "status": "paused"}]
    few = ok(api.get("/companies/aggregate/count/*?group_by=status&size__sum__gte=3"))["values"]
    assert few == [{"value": 2, "status": "open"}]
    assert api.get("/companies/aggregate/sum/founded").status_code == 422
    assert api.get("/companies/aggregate/sum/*").status_code == 422


def test_parameters_that_there_are_not(api: Api) -> None:
    """They are an error that names the nearest, in lists and in aggregates."""
    for path in ("/companies", "/companies/aggregate/count/*"):
        answer = api.get(path, params={"name__icontain": "a"})
        assert answer.status_code == 422
        assert "Did you mean 'name__icontains'?" in answer.json()["detail"][0]["msg"]


def test_rows_of_a_relation_to_many(api: Api) -> None:
    """Rows are found by the keys of what they are linked to, as far as the caller may see it; the error for the name of
    the relation leads there."""
    red, blue, theirs = (Label.objects.create(name=name, tenant_id=tenant) for name, tenant in ("r1", "b1", "t2"))
    first, second = company(), company()
    first.labels.set([red, theirs])
    second.labels.set([blue])
    for key, found in ((red, [first]), (blue, [second]), (theirs, [])):
        items = ok(api.get("/companies", params={"labels__id": key.pk}))["items"]
        assert [item["id"] for item in items] == [row.pk for row in found]
    both = ok(api.get("/companies", params={"labels__id": [red.pk, blue.pk], "order_by": "id"}))["items"]
    assert [item["id"] for item in both] == [first.pk, second.pk]
    others = ok(api.get("/companies", params={"!labels__id": red.pk}))["items"]
    assert [item["id"] for item in others] == [second.pk]
    for name in ("labels", "owner"):
        message = api.get("/companies", params={name: 1}).json()["detail"][0]["msg"]
        assert f"Did you mean '{name}__id'?" in message


def test_head(api: Api) -> None:
    """HEAD answers what GET would, without the body."""
    row = company()
    for path in ("/companies", f"/companies/{row.pk}"):
        head, get = api.head(path), api.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert {**head.headers} == {**get.headers}


def test_search(api: Api) -> None:
    """Every word is found, in the row or in what belongs to it."""
    row = company("Ada & Co")
    row.departments.create(name="Engines")
    row.departments.create(name="Engines 2")
    company("Ada")
    assert [item["id"] for item in ok(api.get("/companies?search=ada engines"))["items"]] == [row.pk]


def test_a_search_of_many_words(api: Api) -> None:
    """A text of more words than are searched for is 422, where a row that lacks the last ones would be found."""
    company("one")
    assert len(ok(api.get("/companies", params={"search": " ".join(["one"] * 20)}))["items"]) == 1
    [error] = ok(api.get("/companies", params={"search": " ".join([*["one"] * 20, "zebra"])}), 422)["detail"]
    assert (error["type"], error["loc"]) == ("too_long", ["query", "search"])


@pytest.mark.parametrize("kind", ["application/merge-patch+json", "application/JSON-patch+json; charset=utf-8"])
def test_other_formats_of_changes(api: Api, kind: str) -> None:
    """A patch of another format is 415, of one row and of several, and changes nothing."""
    row = company(size=5)
    sent = {"headers": {"Content-Type": kind}}
    changes = (b'{"size": 6}', b'[{"id": %d, "size": 6}]' % row.pk, b'[{"op": "replace", "path": "/size", "value": 6}]')
    for path, body in itertools.product((f"/companies/{row.pk}", "/companies"), changes):
        answer = api.patch(path, content=body, **sent)
        assert (answer.status_code, answer.headers["Accept-Patch"]) == (415, "application/json")
    row.refresh_from_db()
    assert row.size == 5
    assert ok(api.patch(f"/companies/{row.pk}", json={"size": 7}))["size"] == 7


def test_prefer(api: Api) -> None:
    """`Prefer` leaves out the body, or counts."""
    row = company()
    minimal = {"Prefer": "return=minimal"}
    answer = api.patch(f"/companies/{row.pk}", json={"name": "B"}, headers=minimal)
    assert (answer.status_code, answer.content) == (204, b"")
    made = api.post("/companies", json={"name": "C", "slug": "c", "labels": []}, headers=minimal)
    assert (made.status_code, made.content) == (201, b"")
    answer = api.get("/companies", headers={"Prefer": "count=exact"})
    assert ok(answer)["total"] == 2
    assert answer.headers["preference-applied"] == "count=exact"


def test_it_counts_no_queries_per_row(api: Api, django_assert_num_queries: Any) -> None:
    """A list takes as many queries with a hundred rows as with one."""
    for _ in range(3):
        row = company()
        CompanyDepartment.objects.bulk_create(CompanyDepartment(company=row, name=str(n)) for n in range(3))
    with django_assert_num_queries(4):
        found = ok(api.get("/companies"))
    assert len(found["items"]) == 3
