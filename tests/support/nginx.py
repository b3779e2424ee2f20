"""A real nginx on a port of the loopback, in front of a server of the tests."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness import free_port

CONFIGURATION = """
{process}
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {http}
}}
"""
# Which asks for no user of its own.
ONE_PROCESS = "daemon off; master_process off;"
PROXY = """
  map $http_upgrade $connection_header {{ default upgrade; "" ""; }}
  server {{
    listen 127.0.0.1:{port};
    location {prefix}/ {{
      proxy_pass {upstream};
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
    }}
    location / {{ return 404 "outside of the prefix\\n"; }}
  }}
"""


def nginx_command() -> str:
    """The path of nginx, which is seldom on the PATH of a user. Raises RuntimeError where there is none."""
    command = shutil.which("nginx", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/opt/homebrew/bin")
    if command is None:
        raise RuntimeError("There is no nginx. Install it: `apt install nginx-light`.")
    return command


def configuration(folder: Path, process: str, http: str) -> str:
    """An nginx.conf by which nginx writes to `folder` alone; `process` and `http` are the directives of its own."""
    return CONFIGURATION.format(folder=folder, process=process, http=http)


@contextlib.contextmanager
def nginx(folder: Path, upstream: str, prefix: str, *, strip: bool) -> Iterator[str]:
    """Yields the URL under which nginx forwards to `upstream`, the prefix taken off the path or left on it.

    Anything outside of the prefix is nginx's own 404, so a link that forgets the prefix leads nowhere.
    """
    command = nginx_command()
    folder.mkdir()
    port = free_port()
    # A proxy_pass with a path, be it "/", replaces the part of the URL that the location matched.
    target = f"{upstream}/" if strip else upstream
    conf = folder / "nginx.conf"
    conf.write_text(configuration(folder, ONE_PROCESS, PROXY.format(port=port, prefix=prefix, upstream=target)))
    process = subprocess.Popen([command, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(conf)])
    try:
        wait_for(process, port, folder / "error.log")
        yield f"http://127.0.0.1:{port}{prefix}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx does not listen:\n{log.read_text() if log.exists() else ''}")
