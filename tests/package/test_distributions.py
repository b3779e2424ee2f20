"""The wheel and the sdist: what their metadata say is true, and both can be installed on their own."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from package.conftest import Built, Machine


@pytest.fixture(scope="session")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(wheel.read(name))


def test_an_index_takes_them(built: Built) -> None:
    """twine finds nothing in either, a description that does not render included."""
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, built)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_licence_is_named_and_there(built: Built, metadata: Message) -> None:
    """The expression names more than MIT, and the text of each bundled part is among the licences."""
    assert str(metadata["License-Expression"]).startswith("MIT AND Apache-2.0")
    with zipfile.ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
    for file in metadata.get_all("License-File", []):
        assert [name for name in names if name.endswith(f".dist-info/licenses/{file}")], file
    texts = " ".join(metadata.get_all("License-File", []))
    for text in (
        "swagger-ui/LICENSE",
        "swagger-ui/NOTICE",
        "redoc/LICENSE",
        "PARTS.LICENSE.txt",
        "bundle.js.LICENSE.txt",
    ):
        assert text in texts


def test_links_lead_somewhere_on_an_index(metadata: Message) -> None:
    """No link of the description is relative to the repository, and those into it begin with the project's own URL."""
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert set(urls) == {"Source", "Changelog", "Documentation", "Issues"}
    description = metadata.get_payload()
    assert isinstance(description, str)
    links = re.findall(r"\]\(([^)]+)\)", description)
    assert len(links) > 20
    assert [link for link in links if not link.startswith(("https://", "http://", "#"))] == []
    assert len([link for link in links if link.startswith(f"{urls['Source']}/blob/main/docs/")]) > 10


def test_the_project_template_is_whole(built: Built) -> None:
    """The wheel has each file of the template, those whose names begin with a dot too."""
    source = Path(__file__).parents[2] / "src"
    template = source / "djfast_mount" / "project_template"
    files = {str(path.relative_to(source)) for path in template.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    with zipfile.ZipFile(built.wheel) as wheel:
        assert files <= set(wheel.namelist())


def test_templates_and_static_files_are_whole(built: Built) -> None:
    """The wheel has each template and each static file, those of the page in the admin and its charts among them."""
    source = Path(__file__).parents[2] / "src"
    folders = (source / "djfast_mount" / "templates", source / "djfast_mount" / "static")
    files = {str(path.relative_to(source)) for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert any(name.endswith("uplot/uPlot.iife.min.js") for name in files)
    with zipfile.ZipFile(built.wheel) as wheel:
        assert files <= set(wheel.namelist())


def test_the_sdist_can_be_tested(built: Built) -> None:
    """It holds the tests, the examples, the docs and what they read."""
    with tarfile.open(built.sdist) as sdist:
        names = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "noxfile.py"} <= names
    assert {"tests/conftest.py", "docs/deployment.md", "examples/quickstart/manage.py"} <= names


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_can_be_installed_on_its_own(built: Built, machine: Machine, kind: str) -> None:
    """In an empty environment, by the pip that comes with Python: what it needs comes along, and mount() is there."""
    done = machine.run(f"python -m pip install --quiet {getattr(built, kind)}\npython -m pip check")
    assert done.returncode == 0, done.stderr
    assert machine.run("python -W error -c 'from djfast_mount import mount; print(mount)'").returncode == 0
