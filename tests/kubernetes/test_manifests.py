"""The manifests: valid for Kubernetes, careful, and within the connections that PostgreSQL has."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from container.image import REPOSITORY
from kubernetes.conftest import KUBERNETES, Layer

# The oldest that gets fixes by its makers, or a little older, and the newest that the validator knows.
VERSIONS = ("1.31", "1.37")
# PostgreSQL's default, and what it keeps for superusers.
MAX_CONNECTIONS, RESERVED = 100, 3
THREADS = 8  # mount()'s default
KINDS = {
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "PodDisruptionBudget",
    "Service",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_them(layer: Layer, version: str) -> None:
    """Every object of both layers is valid, and has no field that the schema does not know."""
    assert set(layer.objects) == KINDS
    done = layer.valid(version)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_finds_faults(layer: Layer) -> None:
    """A misspelt field and a wrong type are found: the test of the test."""
    for right, wrong in (("runAsNonRoot: true", "runAsNonroot: true"), ("maxSurge: 1", "maxSurge: true")):
        layer.path.write_text(layer.text.replace(right, wrong))
        assert layer.valid(VERSIONS[1]).returncode != 0
    layer.path.write_text(layer.text)


def test_nothing_runs_as_root_or_writes(layer: Layer) -> None:
    """Pods are nobody's root, on a root file system that is read-only, without privileges or a token."""
    for kind in ("Deployment", "Job"):
        pod = layer.pod(kind)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        assert not pod["automountServiceAccountToken"]
    for container in layer.containers:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]


def test_no_secret_is_in_them(layer: Layer) -> None:
    """The key and the password are named, and come from a Secret that is made elsewhere."""
    assert "Secret" not in layer.objects
    assert "@" in layer.objects["ConfigMap"]["data"]["DATABASE_URL"]
    assert re.fullmatch(r"postgres://\w+@[\w.]+:\d+/\w+", layer.objects["ConfigMap"]["data"]["DATABASE_URL"])
    for container in layer.containers:
        assert {each["name"] for each in container["env"]} == {"SECRET_KEY", "PGPASSWORD"}
        assert all("secretKeyRef" in each["valueFrom"] for each in container["env"])


def test_the_connections_are_enough(layer: Layer) -> None:
    """With as many pods as there may be at a rollout, and the migration, PostgreSQL has connections left."""
    surge = layer.objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    most = layer.objects["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] + surge
    workers = int(layer.objects["ConfigMap"]["data"].get("WEB_CONCURRENCY", 1))
    # The lock of the migration is on a connection of its own.
    assert most * workers * THREADS + 2 <= MAX_CONNECTIONS - RESERVED


def test_a_pod_has_time_to_end(layer: Layer) -> None:
    """It is killed later than preStop, the drain and the grace of the settings take together."""
    pod = layer.pod("Deployment")
    [_, seconds] = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    grace = re.search(r'"grace": (\d+)', (REPOSITORY / "examples/quickstart/mysite/settings.py").read_text())
    assert grace is not None
    drain = float(layer.objects["ConfigMap"]["data"]["DRAIN"])
    assert drain > 0
    assert pod["terminationGracePeriodSeconds"] > int(seconds) + drain + int(grace[1])


def test_a_rollout_takes_nothing_away(layer: Layer) -> None:
    """A new pod is ready before an old one ends, and the autoscaler alone says how many there are."""
    spec = layer.objects["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in spec


def test_what_selects_pods_finds_the_servers_alone(layer: Layer) -> None:
    """Service, disruption budget and Deployment select the server's pods, and not those of the migration."""
    selectors = [
        layer.objects["Service"]["spec"]["selector"],
        layer.objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        layer.objects["Deployment"]["spec"]["selector"]["matchLabels"],
    ]
    labels = {kind: layer.objects[kind]["spec"]["template"]["metadata"]["labels"] for kind in ("Deployment", "Job")}
    for selector in selectors:
        assert selector.items() <= labels["Deployment"].items()
        assert not selector.items() <= labels["Job"].items()


def test_staging_differs_where_it_says(tmp_path: Any) -> None:
    """The overlay has its own namespace, host, image and database, and fewer pods."""
    base, staging = Layer("base", tmp_path), Layer("overlays/staging", tmp_path)
    assert {each["metadata"]["namespace"] for each in staging.objects.values()} == {"staging"}
    assert [container["image"] for container in staging.containers] == ["registry.example.org/site:staging"] * 2
    assert [container["image"] for container in base.containers] == ["registry.example.org/site:1"] * 2
    assert "site.example.org" not in staging.text
    assert staging.objects["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 2
    assert staging.objects["ConfigMap"]["data"]["LOG_FORMAT"] == base.objects["ConfigMap"]["data"]["LOG_FORMAT"]


def keys_of(value: Any) -> set[str]:
    """The names of all fields, but for those of labels, annotations and what is matched by them."""
    if isinstance(value, list):
        return {key for part in value for key in keys_of(part)}
    if not isinstance(value, dict):
        return set()
    inner = [part for key, part in value.items() if key not in ("labels", "annotations", "matchLabels", "selector")]
    return set(value) | {key for part in inner for key in keys_of(part)}


# Those that say nothing by themselves.
PLAIN = {
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "spec",
    "template",
    "labels",
    "selector",
    "matchLabels",
    "http",
    "port",
}


def test_the_page_explains_every_line() -> None:
    """docs/kubernetes.md speaks of every field of the manifests."""
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text()
    found = set()
    for path in (KUBERNETES / "base").glob("*.yaml"):
        for each in yaml.safe_load_all(path.read_text()):
            found |= keys_of(each)
    assert sorted(key for key in found - PLAIN if f"`{key}" not in page and f"{key}`" not in page) == []
