"""Runs WhiteNoise's own tests of what it answers over HTTP against `StaticFiles` and `mount()`, under uvicorn.

The tests come with the source distribution of the installed version. It lacks the files that they read, their settings
and the server that they ask: those are made here (see `served.py`), and theirs is none of WhiteNoise's code.

    python tests/suites/whitenoise/run.py [options of pytest]
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
SUITES = ("test_whitenoise.py", "test_django_whitenoise.py")
# WhiteNoise 6.12.0's tests get 82 answers from our file table. With far fewer, tests would pass without asking it.
LEAST_ANSWERS = 80

STYLES = b"".join(b".class-%d { color: #%06d; background: url(image.png) }\n" % (n, n) for n in range(200))
FILES = {
    "assets/subdir/javascript.js": b'"use strict";\nvar here = "a file of more than a hundred bytes";\n' * 4,
    "assets/compressed.css": STYLES,
    "assets/compressed.css.gz": gzip.compress(STYLES, mtime=0),
    "assets/custom-mime.foobar": b"fizzbuzz\n",
    "assets/with-index/index.html": b"<h1>Hello</h1>\n",
    "root/robots.txt": b"Disallow: /\n",
    "static/app.js": b"var numbers = [" + b"1234567890, " * 400 + b"0];\n",
    "static/nonascii\u2713.txt": b"hi\n",
    "static/styles.css": b".a { color: red }\n" * 100,
    "static/with-index/index.html": b"<h1>Hello</h1>\n",
}


def unpack(folder: Path) -> None:
    """The tests of the installed WhiteNoise, and what they need, in `folder`."""
    package = f"whitenoise=={version('whitenoise')}"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", package]
    subprocess.run([*download, "--dest", str(folder)], check=True)
    (archive,) = folder.glob("whitenoise-*.tar.gz")
    tests = folder / "tests"
    tests.mkdir()
    with tarfile.open(archive) as tar:
        for name in SUITES:
            member = tar.extractfile(f"{archive.name.removesuffix('.tar.gz')}/tests/{name}")
            if member is None:
                raise SystemExit(f"{archive.name} has no tests/{name}: WhiteNoise has moved its tests.")
            (tests / name).write_bytes(member.read())
    (tests / "__init__.py").touch()
    (tests / "utils.py").write_text("from served import AppServer, Files\n__all__ = ['AppServer', 'Files']\n")
    for name, content in FILES.items():
        path = tests / "test_files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unpack(folder)
        results = folder / "results.json"
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "served_settings",
            "FOREIGN_FILES": str(folder / "tests" / "test_files"),
            "FOREIGN_RESULTS": str(results),
            "PYTHONPATH": os.pathsep.join([str(folder), str(HERE), str(HERE.parents[1])]),
        }
        excluded = tomllib.loads((HERE / "exclusions.toml").read_text())["tests"]
        command = [sys.executable, "-m", "pytest", "-p", "no:django", "-p", "no:cacheprovider", "-p", "served"]
        command += [
            "-W",
            "error:StreamingHttpResponse",
            "--rootdir",
            name,
            "-q",
            *(f"tests/{suite}" for suite in SUITES),
        ]
        command += [option for test in excluded for option in ("--deselect", f"tests/{test}")]
        status = subprocess.run([*command, *sys.argv[1:]], cwd=folder, env=env, check=False).returncode
        counts = json.loads(results.read_text())
    requests, answers, deselected = counts["requests"], counts["static"], counts["deselected"]
    sys.stdout.write(f"{requests} requests went through us, {answers} of them were answered from the file table.\n")
    if sys.argv[1:]:
        return status
    if deselected != len(excluded):
        raise SystemExit(f"{len(excluded)} tests are excluded, but only {deselected} of them exist.")
    if answers < LEAST_ANSWERS:
        raise SystemExit(f"That is fewer than {LEAST_ANSWERS}: tests have passed without asking us.")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
