"""Images without a Docker engine: a base by debootstrap, and what buildah makes of a Dockerfile on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parents[2]
# What python:3.13-slim is made of too.
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
TOOLS = ("kubernetes-client", "pgbouncer")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
NEEDED = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "chroot": "coreutils",
}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def what_is_missing() -> str:
    """What to do before images can be built; empty where nothing is."""
    packages = {package for command, package in NEEDED.items() if shutil.which(command, path=PATH) is None}
    if packages:
        return f"Images are built by Debian's packages: apt-get install -y {' '.join(sorted(packages))}"
    return "" if os.geteuid() == 0 else "debootstrap and buildah's chroot isolation want root, as in a container of CI."


def run(*command: str, **env: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, "PATH": PATH, **env}, capture_output=True, text=True, check=False, timeout=1200
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def base(folder: Path, suite: str = SUITE, packages: tuple[str, ...] = PACKAGES) -> Path:
    """An archive of Debian with its python3, made once for all runs: `folder` is kept."""
    archive = folder / f"{suite}.tar"
    if not archive.exists():
        root = folder / suite
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(root), MIRROR)
        # Whom this machine trusts, the base trusts: the index may be behind a proxy with a certificate of its own.
        shutil.copy(CERTIFICATES, root / CERTIFICATES.lstrip("/"))
        (root / "etc" / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
        run("tar", "--create", "--one-file-system", "--directory", str(root), "--file", f"{archive}.new", ".")
        Path(f"{archive}.new").rename(archive)
        shutil.rmtree(root)
    return archive


def tools(folder: Path, suite: str = SUITE) -> Path:
    """A root of that Debian with programs that are too old in the one before it. Made once: `folder` is kept."""
    root = folder / (f"tools-{suite}" if suite != SUITE else "tools")
    if not (root / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(TOOLS)}", suite, str(root), MIRROR)
        (root / "complete").touch()
    return root


def wheel(folder: Path) -> None:
    """djfast_mount as the Dockerfile takes it where no index has it."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(REPOSITORY))


class Images:
    """A store of images and containers, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._options = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "vfs")

    def buildah(self, *arguments: str, **env: str) -> str:
        return run("buildah", *self._options, *arguments, **env)

    def build(self, name: str, context: Path, *options: str, **env: str) -> str:
        """Builds the Dockerfile of `context`; of Docker's own format, for the other has no HEALTHCHECK."""
        kind = ("--isolation", "chroot", "--format", "docker", "--layers=false")
        self.buildah("bud", *kind, *options, "--tag", f"localhost/{name}", str(context), **env)
        return f"localhost/{name}"

    def inspect(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))
        return found

    def mount(self, image: str) -> Path:
        """The root of a new container of the image."""
        container = self.buildah("from", image).strip()
        return Path(self.buildah("mount", container).strip())

    def remove(self) -> None:
        """All but the folder itself."""
        self.buildah("rm", "--all")
        self.buildah("rmi", "--all", "--force")


class Image(NamedTuple):
    name: str
    root: Path
    about: dict[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about["Docker"]["config"]
        return found
