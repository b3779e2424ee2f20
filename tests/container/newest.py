"""`nox -s newest`: the fast suite in a folder with Debian's sid, whose python3 is newer than any other release's.

pip takes the newest version of everything there. Arguments are pytest's: `nox -s newest -- tests/test_asgi.py`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from container.image import PATH, REPOSITORY, base, run, what_is_missing

SUITE = "sid"
# openssl is for tests of TLS, passwd for the user that PostgreSQL runs as.
PACKAGES = ("python3", "python3-venv", "openssl", "passwd", "procps", "ca-certificates")
# In namespaces of their own, with which all that was mounted and started is gone.
SET_UP = """
mount --bind {root} {root}
mount -t proc proc {root}/proc
mount --bind /dev {root}/dev
exec chroot {root} env -i HOME=/root PATH=/venv/bin:{path} sh -ec {script}
"""
SCRIPT = """
python3 -m venv /venv
python -m pip install --quiet --upgrade --upgrade-strategy eager --editable "/repository[test]"
python --version
python -m pip list
cd /repository
exec python -m pytest -n 2 {arguments}
"""


def unpacked(folder: Path) -> Path:
    """A new root, with the files of the repository that git knows or would take."""
    root = folder / "newest"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with tarfile.open(base(folder, SUITE, PACKAGES)) as archive:
        archive.extractall(root, filter="fully_trusted")
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
    listed = run("git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (REPOSITORY / name).is_file():
            (root / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, root / "repository" / name)
    return root


def main(arguments: list[str]) -> int:
    if missing := what_is_missing():
        sys.exit(missing)
    root = unpacked(Path(os.environ.get("CONTAINER_BASES") or REPOSITORY / ".nox" / "bases"))
    script = shlex.quote(SCRIPT.format(arguments=shlex.join(arguments)))
    set_up = SET_UP.format(root=shlex.quote(str(root)), path=PATH, script=script)
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return subprocess.run([*namespaces, "sh", "-ec", set_up], env={"PATH": PATH}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
