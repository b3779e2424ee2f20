"""The manifests of examples/kubernetes, as kubectl's own kustomize renders them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from container.image import REPOSITORY, run, tools, what_is_missing

KUBERNETES = REPOSITORY / "examples" / "kubernetes"
LAYERS = ("base", "overlays/staging")


def rendered(layer: str) -> str:
    """By `kubectl kustomize`: this machine's where it has one, else Debian's."""
    if shutil.which("kubectl"):
        return run("kubectl", "kustomize", str(KUBERNETES / layer))
    if missing := what_is_missing():
        pytest.fail(missing, pytrace=False)
    kept = Path(os.environ.get("CONTAINER_BASES") or REPOSITORY / ".nox" / "bases")
    kept.mkdir(parents=True, exist_ok=True)
    root = tools(kept)
    shutil.rmtree(root / "kubernetes", ignore_errors=True)
    shutil.copytree(KUBERNETES, root / "kubernetes")
    return run("chroot", str(root), "kubectl", "kustomize", f"/kubernetes/{layer}")


class Layer:
    """What one layer comes to. `text` is YAML; `objects` has each object by its kind."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.text = rendered(name)
        self.path = folder / f"{name.replace('/', '-')}.yaml"
        self.path.write_text(self.text)
        self.objects: dict[str, Any] = {each["kind"]: each for each in yaml.safe_load_all(self.text)}

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Those of the Deployment and of the Job."""
        return [self.pod(kind)["containers"][0] for kind in ("Deployment", "Job")]

    def pod(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = self.objects[kind]["spec"]["template"]["spec"]
        return found

    def environment(self, kind: str, secrets: dict[str, str]) -> dict[str, str]:
        """What the container of this kind has in its environment, with these values of the Secret."""
        [container] = self.pod(kind)["containers"]
        assert [source["configMapRef"]["name"] for source in container["envFrom"]] == [
            self.objects["ConfigMap"]["metadata"]["name"]
        ]
        given = {each["name"]: secrets[each["valueFrom"]["secretKeyRef"]["key"]] for each in container["env"]}
        return {**self.objects["ConfigMap"]["data"], **given}

    def valid(self, version: str) -> subprocess.CompletedProcess[str]:
        """Held against the published schemas of one Kubernetes."""
        command = ["kubernetes-validate", "--strict", "--kubernetes-version", version, str(self.path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session", params=LAYERS)
def layer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layer:
    return Layer(request.param, tmp_path_factory.mktemp("manifests"))
