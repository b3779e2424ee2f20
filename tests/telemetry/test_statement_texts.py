"""Texts of statements: no value that stands in one is shown."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import connection
from fastapi import FastAPI

from calls import ask
from djfast_mount.telemetry.statement_texts import shown
from telemetry_site import records, site

TEXTS = [
    "SELECT 'secret'",
    "SELECT 'it''s secret'",
    "SELECT 1 -- it's\nWHERE x = 'secret'",
    "SELECT 1 /* it's */ WHERE x = 'secret'",
    "SELECT 1 /* /* it's */ */ WHERE x = 'secret'",
    "SELECT /* user='secret' */ 1",
    "SELECT $$secret$$, $a$it's secret$a$, $a$ $$ secret$a$",
    r"SELECT 'it\'s secret', 'b'",
    r"SELECT E'\'secret', 'b'",
    r"SELECT 'C:\', 'secret'",
    r"SELECT x LIKE %s ESCAPE '\', 'it\'s secret'",
    "SELECT \"it's\" WHERE y = 'secret'",
    "SELECT `it's` WHERE y = 'secret'",
    "SELECT 'secret",
    'SELECT "secret',
]


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite", "mysql", "oracle"])
@pytest.mark.parametrize("text", TEXTS)
def test_no_value_is_shown(text: str, vendor: str) -> None:
    """Whatever else of quotation is around a value, it is left out."""
    assert "secret" not in shown(text, vendor)


def test_texts_of_mysql_are_hidden() -> None:
    """MySQL has them in double quotes, where others have names, and comments after a number sign."""
    assert shown("SELECT \"secret\" # it's\nWHERE `x` = 'secret'", "mysql") == "SELECT ? ?\nWHERE `x` = ?"


@pytest.mark.parametrize(
    "number", ["12", "1.5", "1.5e10", "1E-3", "0xDEADBEEF", "1_500_000", "1_0.0_5e1_0", "0x_FF_FF", "0o17", "0b1010"]
)
def test_numbers_are_hidden(number: str) -> None:
    """All of a number is left out, however it is written; names and placeholders with digits stay."""
    assert shown(f'SELECT "a1", t2.b FROM t2 WHERE x = {number} AND y = %s', "sqlite").endswith("x = ? AND y = %s")


def test_the_rest_is_as_it_was() -> None:
    """Names, placeholders and what Django writes for LIKE are shown."""
    text = r"""SELECT "a"."it's" FROM "a" WHERE "a"."b" LIKE %s ESCAPE '\' ORDER BY "a"."b" LIMIT 21"""
    told = """SELECT "a"."it's" FROM "a" WHERE "a"."b" LIKE %s ESCAPE ? ORDER BY "a"."b" LIMIT ?"""
    assert shown(text, "sqlite") == told


def test_objects_of_a_driver_are_hidden() -> None:
    """psycopg shows a literal with an apostrophe in double quotes."""
    sql = pytest.importorskip("psycopg.sql")
    told = [
        shown(sql.SQL("SELECT {}").format(sql.Literal(value)), "postgresql") for value in ("a'secret", "a'\"secret")
    ]
    assert "secret" not in "".join(told)


@pytest.mark.parametrize(
    "text", ["INSERT '" + "a" * 3_000_000 + "'", "'" * 300_001, "$a$" + "$b" * 300_000, "/*" * 300_000]
)
def test_a_long_text_takes_no_memory(text: str) -> None:
    """Of a text of megabytes no more than some copies are made."""
    tracemalloc.start()
    try:
        shown(text, "postgresql")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20_000_000


class Array(list[int]):
    """As numpy has it."""

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="psycopg asks for the truth itself")
def test_params_without_a_truth_are_none_of_telemetrys(root_path: str) -> None:
    """A statement whose params are an array is executed and counted, as without telemetry."""
    api = FastAPI()

    @api.get("/array")
    def array() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s, %s", Array([1, 2]))
            return list(cursor.fetchone())

    with records() as found, site(api=api) as root:
        assert ask(root, "/api/array", root_path=root_path).json() == [1, 2]
    assert found[-1].queries == 1
