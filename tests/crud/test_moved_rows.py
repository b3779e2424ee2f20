"""Rows that another call moves or changes, while a write waits for them.

Holds `crud/writing/writes.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from crud.resources import companies
from crud.serving import Api, served
from project.companies.models import Company

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one transaction that writes at a time"),
]
WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


def is_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(WAITING[connection.vendor])
        return bool(cursor.fetchone()[0])


class Mover(threading.Thread):
    """Changes rows, and ends its transaction once somebody waits for one of them."""

    def __init__(self, change: Callable[[], Any]) -> None:
        super().__init__()
        self._change = change
        self.locked = threading.Event()
        self.was_waited_for = False

    def run(self) -> None:
        try:
            with transaction.atomic():
                self._change()
                self.locked.set()
                end = time.monotonic() + 20
                while not self.was_waited_for and time.monotonic() < end:
                    self.was_waited_for = is_waiting()
        finally:
            connection.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/{}", None),
        ("PATCH", "/{}", {"name": "x"}),
        ("PUT", "/{}", {"name": "x", "slug": "x"}),
        ("PATCH", "", [{"id": 0, "name": "x"}]),
    ],
)
def test_a_row_that_is_moved_away_is_gone(method: str, path: str, body: Any, root_path: str) -> None:
    """A write that waited for a row which is another tenant's by then is 404, and leaves it as it is."""
    row = Company.objects.create(name="a", slug="a")
    if isinstance(body, list):
        body = [{**body[0], "id": row.pk}]
    with Api(served(companies(delete=True)), root_path) as client:
        assert client.get(f"/companies/{row.pk}").status_code == 200
        mover = Mover(lambda: Company.objects.filter(pk=row.pk).update(tenant_id=2))
        mover.start()
        assert mover.locked.wait(20)
        answer = client.request(method, f"/companies{path.format(row.pk)}", json=body)
        mover.join()
    assert mover.was_waited_for
    assert answer.status_code == 404, answer.text
    assert [(each.name, each.tenant_id) for each in Company.objects.all()] == [("a", 2)]


@pytest.mark.parametrize("change", ["changed", "deleted"])
def test_a_nested_row_that_is_changed_is_not_written_over(change: str, root_path: str) -> None:
    """A write by the tag of a row is 412 where a row nested in it was changed or deleted after the tag."""
    row = Company.objects.create(name="a", slug="a")
    department = row.departments.create(name="d", size=1)
    mover = Mover(lambda: row.departments.update(size=9) if change == "changed" else row.departments.all().delete())
    with Api(served(companies()), root_path) as client:
        path = f"/companies/{row.pk}"
        tag = client.get(path).headers["etag"]
        mover.start()
        assert mover.locked.wait(20)
        sent = {"departments": [{"id": department.pk, "name": "d", "size": 2}]}
        answer = client.patch(path, json=sent, headers={"If-Match": tag})
        mover.join()
    assert mover.was_waited_for
    assert answer.status_code == 412, answer.text
    assert [each.size for each in row.departments.all()] == ([9] if change == "changed" else [])
