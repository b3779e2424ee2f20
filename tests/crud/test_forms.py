"""Resources whose bodies are forms: fields and files of one row, validated as JSON bodies are.

Holds `crud/writing/forms.py`.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from crud.resources import DocumentSchema, api_of, documents
from crud.serving import Api, ok
from djfast_mount import mount
from djfast_mount.crud import ModelRouter
from djfast_mount.exceptions import ConfigurationError
from djfast_mount.schemas import ModelSchema
from project.companies.models import Company, Document, Label

pytestmark = pytest.mark.django_db


class BookSchema(ModelSchema[Company]):
    documents: list[DocumentSchema]

    class Meta:
        fields = ["id", "name", "slug"]


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    settings.MEDIA_URL = "/media/"
    return tmp_path


@pytest.fixture(scope="module")
def app() -> Any:
    books = ModelRouter(BookSchema, prefix="/books", create=True, form=True)
    later = documents(prefix="/later", name="paper", asynchronous=True)
    return mount("/api", api_of(documents(), later, books))


@pytest.fixture
def api(app: Any, root_path: str) -> Iterator[Api]:
    with Api(app, root_path) as client:
        yield client


TEXT = ("a.txt", b"some text", "text/plain")


def picture() -> tuple[str, bytes, str]:
    held = io.BytesIO()
    Image.new("RGB", (2, 2)).save(held, "png")
    return "a.png", held.getvalue(), "image/png"


@pytest.fixture
def row() -> Document:
    return Document.objects.create(title="old", notes="n", pages=7, file=SimpleUploadedFile("old.txt", b"old"))


@pytest.mark.parametrize("prefix", ["/documents", "/later"])
def test_fields_and_files_of_a_new_row(api: Api, prefix: str, media: Path) -> None:
    """POST takes fields, lists, JSON and files; the files are in the storage, and the answer has their URLs."""
    label = Label.objects.create(name="l")
    data = {"title": "a", "pages": "3", "facts": '{"a": [1]}', "labels": [str(label.pk)]}
    made = ok(api.post(prefix, data=data, files={"file": TEXT, "cover": picture()}), 201)
    assert (made["title"], made["pages"], made["facts"], made["labels"]) == ("a", 3, {"a": [1]}, [label.pk])
    assert (made["file"], made["cover"]) == ("/media/documents/a.txt", "/media/covers/a.png")
    assert (media / "documents" / "a.txt").read_bytes() == b"some text"


@pytest.mark.parametrize("prefix", ["/documents", "/later"])
def test_a_file_is_replaced(api: Api, row: Document, prefix: str, media: Path) -> None:
    """PATCH with a file puts it in the place of the old one, changes nothing else, and the ETag is another."""
    before = api.get(f"{prefix}/{row.pk}")
    after = api.patch(f"{prefix}/{row.pk}", files={"file": TEXT}, headers={"If-Match": before.headers["etag"]})
    assert ok(after) == {**before.json(), "file": "/media/documents/a.txt"}
    assert after.headers["etag"] != before.headers["etag"]
    row.refresh_from_db()
    assert (media / row.file.name).read_bytes() == b"some text"


@pytest.mark.parametrize("prefix", ["/documents", "/later"])
def test_a_body_that_is_no_form(api: Api, row: Document, prefix: str) -> None:
    """JSON is 415 and changes nothing, also where a field is required; no body, and an urlencoded form, are taken."""
    detail = "Send a form, as multipart/form-data, and not as application/json."
    for method, path in (("PATCH", f"{prefix}/{row.pk}"), ("PUT", f"{prefix}/{row.pk}"), ("POST", prefix)):
        refused = api.request(method, path, json={"title": "new"})
        assert (refused.status_code, refused.json()["detail"]) == (415, detail)
    assert Document.objects.get().title == "old"
    assert ok(api.patch(f"{prefix}/{row.pk}"))["title"] == "old"
    assert ok(api.patch(f"{prefix}/{row.pk}", data={"title": "new"}))["title"] == "new"


def test_urls_that_are_signed_anew_each_time(api: Api, row: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    """If-Match holds where the storage signs its URLs, another file has another tag, and no GET is 304."""
    storage, signatures = Document._meta.get_field("file").storage, itertools.count()
    plain = storage.url
    monkeypatch.setattr(storage, "url", lambda name: f"{plain(name)}?signature={next(signatures)}")
    first, second = api.get(f"/documents/{row.pk}"), api.get(f"/documents/{row.pk}")
    assert first.json()["file"] != second.json()["file"]
    tag = {"If-Match": first.headers["etag"]}
    changed = api.patch(f"/documents/{row.pk}", data={"title": "new"}, headers=tag)
    assert ok(changed)["title"] == "new"
    assert api.patch(f"/documents/{row.pk}", data={"title": "x"}, headers=tag).status_code == 412
    # What the client has stored may have expired.
    tag = {"If-None-Match": changed.headers["etag"]}
    assert ok(api.get(f"/documents/{row.pk}", headers=tag))["file"].startswith("/media/")
    other = api.patch(f"/documents/{row.pk}", files={"file": TEXT})
    assert other.headers["etag"] != changed.headers["etag"]


def test_a_file_is_taken_away(api: Api, row: Document) -> None:
    """PATCH with cover-clear leaves the row without one; a file that must be there has no such part."""
    ok(api.patch(f"/documents/{row.pk}", files={"cover": picture()}))
    assert ok(api.patch(f"/documents/{row.pk}", data={"cover-clear": "on"}))["cover"] is None
    row.refresh_from_db()
    assert not row.cover
    assert ok(api.patch(f"/documents/{row.pk}", data={"file-clear": "on"}))["file"] == f"/media/{row.file.name}"
    both = api.patch(f"/documents/{row.pk}", data={"cover-clear": "on"}, files={"cover": picture()})
    assert "not both" in ok(both, 422)["detail"][0]["msg"]


def test_what_was_not_sent(api: Api, row: Document) -> None:
    """PATCH leaves it, empty parts too; PUT sets it to what a new row has, and needs the file."""
    changed = ok(api.patch(f"/documents/{row.pk}", data={"title": "new", "notes": ""}))
    assert (changed["title"], changed["notes"], changed["pages"]) == ("new", "n", 7)
    ok(api.patch(f"/documents/{row.pk}", files={"cover": picture()}))
    whole = api.put(f"/documents/{row.pk}", data={"title": "put"}, files={"file": TEXT})
    assert [ok(whole)[name] for name in ("title", "notes", "pages", "cover")] == ["put", "", 1, None]
    missing = ok(api.put(f"/documents/{row.pk}", data={"title": "put"}, files={"cover": picture()}), 422)
    assert missing["detail"][0]["loc"] == ["body", "file"]


REFUSED = {
    "no file": ({"file": None}, "file", "Field required"),
    "no upload": ({"file": ("", b"", "text/plain")}, "file", "Field required"),
    "empty": ({"file": ("a.txt", b"", "text/plain")}, "file", "The submitted file is empty."),
    "too large": ({"file": ("a.txt", b"x" * 100_001, "text/plain")}, "file", "97.7\xa0KB at most"),
    "no name": ({"file": ("..", b"x", "text/plain")}, "file", "needs a name"),
    "kind": ({"file": ("a.exe", b"x", "text/plain")}, "file", "File extension “exe” is not allowed"),
    "long name": ({"file": ("a" * 300 + ".txt", b"x", "text/plain")}, "file", "at most 100 characters"),
    "no image": ({"file": TEXT, "cover": ("a.png", b"no image", "image/png")}, "cover", "Upload a valid image"),
}


@pytest.mark.parametrize(("files", "place", "told"), REFUSED.values(), ids=REFUSED)
def test_files_that_are_refused(api: Api, files: dict[str, Any], place: str, told: str, media: Path) -> None:
    """They are 422 with the path to the part, as Django words it; no row is made, and nothing stored."""
    # Without a file httpx would send no multipart form.
    sent = {name: file for name, file in files.items() if file is not None} or {"cover": picture()}
    [error] = ok(api.post("/documents", data={"title": "a"}, files=sent), 422)["detail"]
    assert error["loc"] == ["body", place]
    assert told in error["msg"]
    assert not Document.objects.exists()
    assert list(media.iterdir()) == []


def test_fields_that_are_refused(api: Api) -> None:
    """Fields of a form are validated as those of a JSON body: by type, by the model and by the database's rows."""
    wrong = {"title": "x" * 21, "pages": "many", "facts": "{", "labels": ["77"], "company": "77"}
    answer = ok(api.post("/documents", data=wrong, files={"file": TEXT}), 422)
    assert {error["loc"][1] for error in answer["detail"]} == {"title", "pages", "facts"}
    answer = ok(api.post("/documents", data={"title": "a", "company": "77"}, files={"file": TEXT}), 422)
    assert answer["detail"][0]["loc"] == ["body", "company"]
    assert api.post("/documents", data={"title": "a"}).status_code == 422


@pytest.mark.parametrize("name", ["../../evil.txt", "..\\..\\evil.txt", "/etc/evil.txt", "a\x00/evil.txt"])
def test_names_with_folders(api: Api, name: str, media: Path) -> None:
    """A file is stored under the last part of its name, wherever the client says that it belongs."""
    made = ok(api.post("/documents", data={"title": "a"}, files={"file": (name, b"x", "text/plain")}), 201)
    assert made["file"] == "/media/documents/evil.txt"
    assert (media / "documents" / "evil.txt").exists()


def test_nested_rows_and_several_rows(api: Api, row: Document) -> None:
    """A nested list is a part with JSON. Several rows are changed by JSON, and not created where a file is needed."""
    made = ok(api.post("/books", data={"name": "b", "slug": "b", "documents": "[]"}), 201)
    assert made["documents"] == []
    changed = ok(api.patch("/documents", json=[{"id": row.pk, "notes": "", "file": "gone.txt"}]))
    assert (changed[0]["notes"], changed[0]["file"]) == ("", f"/media/{row.file.name}")
    assert api.post("/documents/bulk", json=[{"title": "a"}]).status_code in (404, 405)


def test_forms_in_openapi(api: Api) -> None:
    """A form and its files are described as such; what is required is what a new row needs."""
    document = ok(api.get("/openapi.json"))
    posted = document["paths"]["/documents"]["post"]["requestBody"]["content"]
    assert list(posted) == ["multipart/form-data"]
    schemas = document["components"]["schemas"]
    made, changed, whole = (schemas[f"Document{name}Form"] for name in ("Create", "Update", "Replace"))
    for form in (made, changed):
        described = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}
        assert described.items() <= form["properties"]["file"].items()
    assert made["properties"]["facts"]["contentMediaType"] == "application/json"
    assert (set(made["required"]), set(whole["required"])) == ({"title", "file"}, {"title", "file"})
    assert not changed.get("required")
    assert {"cover-clear"} == {name for name in changed["properties"] if name.endswith("clear")}
    assert "cover-clear" not in made["properties"]


def test_a_file_that_no_body_can_have() -> None:
    """A router that creates rows by JSON, of a model that needs a file, is an error with the remedy."""
    with pytest.raises(ConfigurationError, match=r"'file'.*form=True"):
        api_of(documents(form=False))


def test_limits_of_forms(db: None) -> None:
    """FastAPI's own limits are those of the router's forms; a body over max_body_size is 413."""
    limited = mount("/api", api_of(documents(form_limits={"max_files": 1})), max_body_size=1000)
    with Api(limited) as client:
        several = client.post("/documents", data={"title": "a"}, files={"file": TEXT, "cover": TEXT})
        assert several.status_code == 400
        large = {"file": ("a.txt", b"x" * 2000, "text/plain")}
        assert client.post("/documents", data={"title": "a"}, files=large).status_code == 413
