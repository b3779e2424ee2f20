"""What the tests of schemas share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("schemas.comparing")


@pytest.fixture
def firm(db: None) -> None:
    """Three companies: with everything, with an empty department, and with nothing."""
    from schemas.firm_rows import make_firm  # noqa: PLC0415  (models: the settings are not there when this is read)

    make_firm()


@pytest.fixture
def firms(db: None, other_database: None) -> None:
    """The firm in two databases, which are not alike."""
    from schemas.firm_rows import make_firms  # noqa: PLC0415  (as above)

    make_firms()


@pytest.fixture(scope="module", autouse=True)
def other_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """A second database, "other", for the modules that name it: SQLite in a file of its own, with the firm's tables."""
    marker = request.node.get_closest_marker("django_db")
    if marker is None or "other" not in marker.kwargs.get("databases", ()):
        yield
        return
    from django.apps import apps  # noqa: PLC0415
    from django.db import connections  # noqa: PLC0415

    request.getfixturevalue("django_db_setup")
    blocker = request.getfixturevalue("django_db_blocker")
    file = f"{os.environ['TEST_SCRATCH']}/other.sqlite3"
    connections.settings["other"] = {
        **connections.settings["default"],
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        "OPTIONS": {},
    }
    with blocker.unblock():
        if not os.path.exists(file):
            with connections["other"].schema_editor() as editor:
                for label in ("contenttypes", "auth", "firm"):
                    for model in apps.get_app_config(label).get_models():
                        if not model._meta.proxy:
                            editor.create_model(model)
        yield
        connections["other"].close()
    del connections.settings["other"], connections["other"]
