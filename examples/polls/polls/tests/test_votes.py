"""Votes at once, of clients with connections of their own, to a real server."""

import asyncio
from collections import Counter
from unittest import skipUnless

import httpx
from django.db import connection

from djfast_mount.testing.live_server import ApiLiveServerTestCase
from polls.models import Choice
from polls.tests.rows import poll

VOTES = 200
THREADS = 8  # mount()'s default, and so the most connections of the server
TOKEN = "a" * 32


async def through_the_api(client: httpx.AsyncClient, choice: Choice) -> int:
    return (await client.post(f"/api/choices/{choice.id}/votes")).status_code


async def through_the_page(client: httpx.AsyncClient, choice: Choice) -> int:
    form = {"choice": choice.id, "csrfmiddlewaretoken": TOKEN}
    path = f"/polls/{choice.question_id}/vote/"
    return (await client.post(path, data=form, headers={"Cookie": f"csrftoken={TOKEN}"})).status_code


class VoteTests(ApiLiveServerTestCase):
    def votes(self, choice: Choice) -> Counter[int]:
        """What each of the votes was answered. Half of them go to the API, half to Django's page."""

        async def all_at_once() -> list[int]:
            limits = httpx.Limits(max_connections=VOTES)
            async with httpx.AsyncClient(base_url=self.live_server_url, limits=limits, timeout=60) as client:
                ways = (through_the_api, through_the_page)
                return await asyncio.gather(*(ways[number % 2](client, choice) for number in range(VOTES)))

        return Counter(asyncio.run(all_at_once()))

    def test_no_vote_is_lost(self) -> None:
        """Of 200 votes at once each is answered, and each is counted."""
        choice = poll().choices.first()
        self.assertEqual(self.votes(choice), {200: VOTES // 2, 302: VOTES // 2})
        choice.refresh_from_db()
        self.assertEqual(choice.votes, VOTES)

    @skipUnless(connection.vendor == "postgresql", "SQLite in memory has one connection for all")
    def test_the_server_has_no_more_connections_than_threads(self) -> None:
        """After 200 clients at once the server holds at most a connection for each of its threads."""
        self.votes(poll().choices.first())
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            self.assertLessEqual(cursor.fetchone()[0], THREADS)
