"""Clients that others generate from the OpenAPI of resources: they compile, and a call of each action works."""

from __future__ import annotations

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crud.resources import api_of, companies, documents
from harness import TESTS, Server

GENERATED = "companies_client"


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_text(json.dumps(api_of(companies()).openapi()))
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = f"sqlite:///{tmp_path_factory.mktemp('database') / 'db.sqlite3'}"
    path = os.pathsep.join(map(str, (TESTS.parent / "src", TESTS, TESTS / "support")))
    media = str(tmp_path_factory.mktemp("media"))
    env = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": path}
    command = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(command, env=env, check=True)
    with Server(
        "clients.site:app", env={"DATABASE_URL": database, "PYTHONPATH": path, "TEST_MEDIA_ROOT": media}
    ) as server:
        yield server


def test_a_client_in_python(description: Path, server: Server, tmp_path: Path, monkeypatch: Any) -> None:
    """openapi-python-client makes one without a warning; it lists, makes, reads, changes, replaces, counts, deletes."""
    command = ["openapi-python-client", "generate", "--path", str(description), "--meta", "none"]
    done = subprocess.run(
        [*command, "--output-path", str(tmp_path / GENERATED)], capture_output=True, text=True, check=True
    )
    assert "WARNING" not in done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    calls: Any = {
        name: importlib.import_module(f"{GENERATED}.api.default.{name}")
        for name in (
            "list_companies",
            "create_company",
            "read_company",
            "update_company",
            "replace_company",
            "aggregate_companies",
            "bulk_create_companies",
            "bulk_update_companies",
            "delete_company",
            "create_company_department",
        )
    }
    models: Any = importlib.import_module(f"{GENERATED}.models")
    client: Any = importlib.import_module(f"{GENERATED}.client").Client(
        base_url=f"{server.url}/api", headers={"X-Token": "1"}, raise_on_unexpected_status=True
    )
    body = models.CompanyCreate(name="a", slug="a", labels=[])
    made = calls["create_company"].sync(client=client, body=body)
    assert calls["list_companies"].sync(client=client, name=["a"]).items[0].id == made.id
    assert calls["read_company"].sync(made.id, client=client).name == "a"
    changed = calls["update_company"].sync(made.id, client=client, body=models.CompanyUpdate(size=7))
    assert changed.size == 7
    whole = models.CompanyReplace(name="b", slug="a", labels=[])
    assert calls["replace_company"].sync(made.id, client=client, body=whole).size is None
    several = calls["bulk_create_companies"].sync(
        client=client, body=[models.CompanyCreate(name="c", slug="c", labels=[])]
    )
    change = models.CompanyChange(id=several[0].id, size=1)
    assert calls["bulk_update_companies"].sync(client=client, body=[change])[0].size == 1
    department = calls["create_company_department"].sync(
        made.id, client=client, body=models.CompanyDepartmentCreate(name="d", teams=[])
    )
    assert department.name == "d"
    counted = calls["aggregate_companies"].sync_detailed("count", "*", client=client)
    assert counted.parsed.values[0].value == 2
    assert calls["delete_company"].sync_detailed(made.id, client=client).status_code == 204
    client.get_httpx_client().close()


PROGRAM = """
import { client } from "./client/client.gen";
import { aggregateCompanies, createCompany, deleteCompany, listCompanies } from "./client";
import { readCompany, updateCompany } from "./client";

async function main() {
  client.setConfig({ baseUrl: process.argv[2]!, headers: { "X-Token": "1" } });
  const made = await createCompany({ body: { name: "ts", slug: "ts", labels: [] }, throwOnError: true });
  const path = { company_id: made.data.id };
  const found = await listCompanies({ query: { name: ["ts"], listed: false }, throwOnError: true });
  const read = await readCompany({ path, throwOnError: true });
  const changed = await updateCompany({ path, body: { size: 7 }, throwOnError: true });
  const counted = await aggregateCompanies({ path: { function: "count", field: "*" }, throwOnError: true });
  await deleteCompany({ path, throwOnError: true });
  const lengths = [found.data.items.length, counted.data.values.length];
  console.log(JSON.stringify([...lengths, read.data.name, changed.data ? changed.data.size : null]));
}

main();
"""


def test_a_client_in_typescript(description: Path, server: Server, tmp_path: Path) -> None:
    """@hey-api/openapi-ts makes one that TypeScript 5 compiles in its strict mode; its calls work."""
    npm = shutil.which("npm")
    assert npm is not None

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "package.json").write_text('{"private": true}')
    run(npm, "install", "--no-audit", "--no-fund", "@hey-api/openapi-ts", "typescript@5", "@types/node")
    run("npx", "openapi-ts", "--input", str(description), "--output", "client")
    (tmp_path / "program.ts").write_text(PROGRAM)
    options = ["--strict", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10"]
    options += ["--lib", "es2022,dom,dom.iterable"]
    run("npx", "tsc", *options, "--skipLibCheck", "--outDir", "built", "program.ts")
    assert json.loads(run("node", "built/program.js", f"{server.url}/api")) == [1, 1, "ts", 7]


def test_a_form_of_a_client_in_python(tmp_path: Path, server: Server, monkeypatch: Any) -> None:
    """openapi-python-client sends the form of a resource, with its files, and changes one by PATCH."""
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(api_of(documents()).openapi()))
    command = ["openapi-python-client", "generate", "--path", str(file), "--meta", "none"]
    subprocess.run([*command, "--output-path", str(tmp_path / "documents_client")], check=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    create, update = (
        importlib.import_module(f"documents_client.api.default.{name}_document") for name in ("create", "update")
    )
    models: Any = importlib.import_module("documents_client.models")
    sent: Any = importlib.import_module("documents_client.types").File
    client: Any = importlib.import_module("documents_client.client").Client(base_url=f"{server.url}/api")
    text = sent(io.BytesIO(b"text"), "a.txt", "text/plain")
    with client:
        made = create.sync(client=client, body=models.DocumentCreateForm(title="a", file=text))
        changed = update.sync(made.id, client=client, body=models.DocumentUpdateForm(title="b"))
    assert made.file.endswith("documents/a.txt")
    assert (changed.title, changed.file) == ("b", made.file)
