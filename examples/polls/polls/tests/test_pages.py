"""Django's half, and what the two share."""

from io import StringIO

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import override_settings
from django.urls import reverse

from djfast_mount import mount
from djfast_mount.testing import ApiTestCase, Client
from polls.models import Question
from polls.tests.rows import poll


class PageTests(ApiTestCase):
    def test_the_list_has_what_is_published(self) -> None:
        """The first page lists the five latest questions, and none of tomorrow's."""
        for day in range(7):
            poll(f"Question {day}", days=1 - day)
        page = self.api.get("/", follow_redirects=True)
        self.assertEqual(page.url.path, "/polls/")
        shown = [day for day in range(7) if f"Question {day}" in page.text]
        self.assertEqual(shown, [1, 2, 3, 4, 5])

    def test_a_vote_of_the_page_is_seen_by_the_api(self) -> None:
        """The form counts, leads to the results, and the API answers the same number."""
        choice = poll().choices.first()
        page = self.api.get(f"/polls/{choice.question_id}/")
        self.assertIn(f'value="{choice.id}"', page.text)
        voted = self.api.post(reverse("polls:vote", args=[choice.question_id]), data={"choice": choice.id})
        self.assertEqual(voted.headers["Location"], reverse("polls:results", args=[choice.question_id]))
        self.assertIn("Yes: 1", self.api.get(voted.headers["Location"]).text)
        self.assertEqual(self.api.get(f"/api/choices/{choice.id}").json()["votes"], 1)

    def test_a_vote_wants_a_choice_of_the_question(self) -> None:
        """Without a choice, and with one of another question, nothing is counted and the form is shown again."""
        question, other = poll("Tea?"), poll("Milk?")
        for data in ({}, {"choice": "none"}, {"choice": other.choices.first().id}):
            with self.subTest(data):
                answer = self.api.post(f"/polls/{question.id}/vote/", data=data)
                self.assertEqual((answer.status_code, "Choose one of them." in answer.text), (400, True))
        self.assertFalse(other.choices.exclude(votes=0).exists())

    def test_what_is_not_published_has_no_page(self) -> None:
        """A question of tomorrow is 404 on each of its pages."""
        question = poll(days=1)
        for name in ("detail", "results"):
            self.assertEqual(self.api.get(reverse(f"polls:{name}", args=[question.id])).status_code, 404)
        self.assertEqual(self.api.post(reverse("polls:vote", args=[question.id])).status_code, 404)

    def test_the_admin_is_where_it_always_was(self) -> None:
        """A poll added under /admin/, with its choices in the same form, is answered by the API."""
        self.api.force_login(User.objects.create_superuser("admin"))
        form = {
            "question_text": "Sugar?",
            "pub_date_0": "2026-01-01",
            "pub_date_1": "12:00:00",
            "choices-TOTAL_FORMS": "2",
            "choices-INITIAL_FORMS": "0",
            "choices-0-choice_text": "Yes",
            "choices-1-choice_text": "No",
        }
        self.assertEqual(self.api.post("/admin/polls/question/add/", data=form).status_code, 302)
        [found] = self.api.get("/api/questions").json()
        self.assertEqual([choice["choice_text"] for choice in found["choices"]], ["Yes", "No"])


class SwitchTests(ApiTestCase):
    @override_settings(DJFAST_MOUNT={"django": False})
    def test_the_api_alone(self) -> None:
        """With the setting `django` off there are no pages and no admin, and the API has its models still."""
        poll("Tea?")
        client = Client(mount("/api", "polls.api:api"))
        self.addCleanup(client.close)
        self.assertEqual([client.get(path).status_code for path in ("/", "/polls/", "/admin/")], [404] * 3)
        self.assertEqual([found["question_text"] for found in client.get("/api/questions").json()], ["Tea?"])


class CommandTests(ApiTestCase):
    def test_migrations_are_complete(self) -> None:
        """The migrations say what the models say."""
        call_command("makemigrations", "polls", check=True, dry_run=True, verbosity=0)

    def test_seed_may_run_again(self) -> None:
        """A second `seed` doubles nothing, and keeps the votes."""
        call_command("seed", stdout=StringIO())
        Question.objects.first().choices.vote()
        call_command("seed", stdout=StringIO())
        self.assertEqual((Question.objects.count(), User.objects.count()), (2, 1))
        self.assertEqual({choice.votes for choice in Question.objects.first().choices.all()}, {1})
