"""What SQL leaves in a session, by its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from djfast_mount.database import statement_effects
from djfast_mount.database.statement_effects import Trace, traces_of

pytestmark = pytest.mark.once

LEAVES = {
    "SET search_path TO ann": ("setting", "search_path"),
    "set session statement_timeout = 5": ("setting", "statement_timeout"),
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY": ("setting", "session"),
    "/* a comment */ SET ROLE ann": ("setting", "role"),
    "-- a comment\n SET ROLE ann": ("setting", "role"),
    "SELECT 1; SET ROLE ann": ("setting", "role"),
    "SET TIME ZONE 'UTC'": ("setting", "timezone"),
    "SELECT set_config('app.who', %s, false)": ("setting", "app.who"),
    "SELECT set_config(%s, %s, false)": ("setting", ""),
    "CREATE TEMP TABLE mine (id int)": ("table", "mine"),
    "create temporary table if not exists mine as select 1": ("table", "mine"),
    "SELECT * INTO TEMP mine FROM shop_item": ("table", ""),
    "SELECT pg_advisory_lock(1)": ("lock", ""),
    "select pg_try_advisory_lock_shared(1)": ("lock", ""),
    "WITH a AS (SELECT 1) SELECT pg_advisory_lock(1) FROM a": ("lock", ""),
    "SELECT GET_LOCK('mine', 10)": ("lock", ""),
    "LISTEN news": ("channel", "news"),
    "PREPARE mine AS SELECT 1": ("statement", "mine"),
    "PRAGMA foreign_keys = OFF": ("other", "pragma"),
    "ATTACH DATABASE 'x.db' AS x": ("other", "attach"),
    "LOCK TABLES shop_item READ": ("other", "lock"),
    "USE other": ("other", "use"),
    "DECLARE mine CURSOR WITH HOLD FOR SELECT 1": ("other", "declare"),
    "DO $$ BEGIN PERFORM 1; END $$": ("code", "do"),
    "CALL some_procedure()": ("code", "call"),
}
# Texts that hide what they leave, or whose effect nobody knows.
HIDES = [
    "SET/**/app.tenant = 'ann'",
    "/* a /* b */ c */ SET app.tenant = 'ann'",
    "/*! SET @tenant = 'ann' */",
    "-- x\r SET app.tenant = 'ann'\n",
    """SELECT "set_config"('app.tenant', 'ann', false)""",
    """SELECT U&"set\\005Fconfig"('app.tenant', 'ann', false)""",
    "SELECT set_config('app.tenant', ', true(', false)",
    "SELECT set_config('app.who', %s, true), set_config('app.who', %s, false)",
    'SELECT pg_catalog."pg_advisory_lock"/**/(42)',
    "UPDATE pg_settings SET setting = 'UTC+9' WHERE name = 'TimeZone'",
    "CREATE TABLE pg_temp.mine AS SELECT 1",
    "CREATE TABLE temp.mine AS SELECT 1",
    "CREATE TEMP TABLE mine AS SELECT 'on commit drop'",
    "CREATE TEMP TABLE mine (id int) -- on commit drop",
    "SELECT 1 INTO LOCAL TEMP mine",
    "SELECT 1 INTO pg_temp.mine",
    "SELECT name\nINTO @tenant FROM tenants",
    "INSERT INTO a SELECT 1 INTO @tenant",
    "EXPLAIN ANALYZE CREATE TEMP TABLE mine AS SELECT 1",
    "DECLARE mine CURSOR WITH/**/HOLD FOR SELECT 1",
    "EXECUTE prepared",
    "SELECT query_to_xml(%s, true, true, '')",
    "SELECT setseed(0.5)",
    "SELECT set_limit(0.5)",
    "VACUUM",
]
LEAVES_NOTHING = [
    'SELECT "shop_item"."id" FROM "shop_item" WHERE "shop_item"."name" = %s',
    'INSERT INTO "shop_item" ("name") VALUES (%s)',
    'UPDATE "temperature" SET "value" = %s',
    'SELECT "asset"."offset", "asset"."is_locked", "asset"."budget_lock", "asset"."asset_limit" FROM "asset"',
    'SELECT "temp"."into_it" FROM "temp"',
    'INSERT OR IGNORE INTO "shop_item" ("name") VALUES (%s)',
    "SELECT 1 /* controller='shop',route='items' */",
    "/* route='items' */ SELECT 1;",
    "(SELECT 1) UNION (SELECT 2)",
    'SAVEPOINT "s1_x1"',
    'ROLLBACK TO SAVEPOINT "s1_x1"',
    "SET LOCAL search_path TO ann",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SELECT set_config('app.who', %s, true)",
    "SELECT pg_advisory_xact_lock(1)",
    "CREATE TEMP TABLE mine (id int) ON COMMIT DROP",
    "PREPARE TRANSACTION 'mine'",
    "PRAGMA table_info(shop_item)",
    "LOCK TABLE shop_item IN EXCLUSIVE MODE",
    "BEGIN",
    "",
]
TAKES_AWAY = {
    "RESET search_path": ("setting", "search_path"),
    "RESET ALL": ("setting", "*"),
    "SET search_path TO DEFAULT": ("setting", "search_path"),
    "DROP TABLE IF EXISTS mine": ("table", "mine"),
    "SELECT pg_advisory_unlock(1)": ("lock", ""),
    "SELECT pg_advisory_unlock_all()": ("lock", "*"),
    "UNLISTEN *": ("channel", "*"),
    "UNLISTEN news": ("channel", "news"),
    "DEALLOCATE ALL": ("statement", "*"),
    "UNLOCK TABLES": ("other", "lock"),
    "DISCARD ALL": ("*", "*"),
}


@pytest.mark.parametrize("sql", LEAVES)
def test_what_a_statement_leaves_is_seen(sql: str) -> None:
    """A statement that leaves something in the session is told by its kind and name, in any case of letters."""
    assert Trace(*LEAVES[sql], True) in traces_of(sql)
    assert Trace(*LEAVES[sql], True) in traces_of(sql.upper())


@pytest.mark.parametrize("sql", LEAVES_NOTHING)
def test_what_leaves_nothing_is_passed_over(sql: str) -> None:
    """A statement that leaves nothing, or nothing beyond its transaction, has no trace."""
    assert traces_of(sql) == ()


@pytest.mark.parametrize("sql", HIDES)
def test_what_is_not_plain_leaves_something(sql: str) -> None:
    """A text of which nobody can prove that it leaves nothing has a trace of something that is left."""
    assert any(trace.left for trace in traces_of(sql))


@pytest.mark.parametrize(
    "sql", ["SET LOCAL sql_mode = ''", "SET TRANSACTION READ ONLY", "LOCK TABLES shop_item READ", "LOCK TABLE a WRITE"]
)
def test_words_that_mean_more_in_mysql(sql: str) -> None:
    """MySQL's LOCAL is the session's, SET TRANSACTION is for the next, and its locks of tables outlive theirs."""
    assert any(trace.left for trace in traces_of(sql, "mysql"))


def test_a_hidden_listen_is_a_channel() -> None:
    """A text with LISTEN that is not understood counts as one that listens: only a close ends that."""
    assert Trace("channel", "", True) in traces_of("LISTEN/**/news")
    assert Trace("channel", "", True) in traces_of("SELECT 1; LISTEN/**/news")


@given(st.sampled_from(sorted(HIDES)), st.sampled_from(["(", "/* a */", "SELECT 1;", "-- a\n", "\t"]))
def test_what_stands_before_makes_nothing_plain(sql: str, before: str) -> None:
    """What stands before a text that hides something does not make it plain, in any case of letters."""
    assert traces_of(before + sql)
    assert traces_of((before + sql).upper())


@pytest.mark.parametrize("sql", TAKES_AWAY)
def test_what_takes_it_away_is_seen(sql: str) -> None:
    """A statement that takes something away again is told as well."""
    assert Trace(*TAKES_AWAY[sql], False) in traces_of(sql)


@given(
    st.sampled_from(sorted(LEAVES)), st.text(" \n\t", max_size=3), st.sampled_from(["", "SELECT 1;", "/* a */", "("])
)
def test_what_stands_before_hides_nothing(sql: str, space: str, before: str) -> None:
    """White space, comments, parentheses and other statements before a statement do not hide what it leaves."""
    assert Trace(*LEAVES[sql], True) in traces_of(before + space + sql)


def test_long_texts_are_not_kept() -> None:
    """The texts that are kept to know their traces again have a bound in bytes, and long ones have their traces."""
    statement_effects._known_traces.cache_clear()
    for number in range(3):
        assert traces_of(f"SELECT {'%s, ' * 2000} {number}") == ()
        assert traces_of(f"SELECT set_config('a.b', 'x', false), {'%s, ' * 2000} {number}")[0].kind == "setting"
    assert statement_effects._known_traces.cache_info().currsize == 0
    assert traces_of("SELECT 1") == ()
    assert statement_effects._known_traces.cache_info().currsize == 1
