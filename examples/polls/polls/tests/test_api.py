"""FastAPI's half."""

from django.contrib.auth.models import User

from djfast_mount.testing import ApiTestCase
from polls.models import Question
from polls.tests.rows import poll


class ApiTests(ApiTestCase):
    def test_questions_come_with_their_choices(self) -> None:
        """Every question holds its choices, and all of them cost two queries."""
        poll("Tea?", "Yes", "No")
        poll("Milk?", "Yes", "No", "A little")
        with self.assertNumQueries(2):
            found = self.api.get("/api/questions").json()
        texts = {question["question_text"]: [it["choice_text"] for it in question["choices"]] for question in found}
        self.assertEqual(texts, {"Tea?": ["Yes", "No"], "Milk?": ["Yes", "No", "A little"]})
        for question in found:
            self.assertEqual(self.api.get(f"/api/questions/{question['id']}").json(), question)

    def test_choices_come_with_their_question(self) -> None:
        """The foreign key is nested in the answers of the coroutine and of the function, without an error."""
        question = poll("Tea?", "Yes")
        [found] = self.api.get("/api/choices").json()
        self.assertEqual(found["question"]["question_text"], "Tea?")
        self.assertEqual(self.api.get(f"/api/choices/{question.choices.get().id}").json(), found)

    def test_what_is_not_published_is_not_there(self) -> None:
        """A question of tomorrow, and its choices, are in no list, have no page and take no vote."""
        question = poll(days=1)
        choice = question.choices.first()
        self.assertEqual((self.api.get("/api/questions").json(), self.api.get("/api/choices").json()), ([], []))
        for method, path in (
            ("GET", f"/api/questions/{question.id}"),
            ("GET", f"/api/choices/{choice.id}"),
            ("POST", f"/api/choices/{choice.id}/votes"),
        ):
            with self.subTest(path):
                self.assertEqual(self.api.request(method, path).status_code, 404)
        choice.refresh_from_db()
        self.assertEqual(choice.votes, 0)

    def test_a_vote_counts(self) -> None:
        """The answer to a vote has the new count."""
        choice = poll().choices.first()
        path = f"/api/choices/{choice.id}/votes"
        self.assertEqual([self.api.post(path).json()["votes"] for _ in range(3)], [1, 2, 3])

    def test_only_the_staff_asks(self) -> None:
        """A question is taken, with its choices, from who may use the admin, and from nobody else."""
        asked = {"question_text": "Sugar?", "choices": [{"choice_text": "Yes"}, {"choice_text": "No"}]}
        self.assertEqual(self.api.post("/api/questions", json=asked).status_code, 401)
        self.api.force_login(User.objects.create_user("anna"))
        self.assertEqual(self.api.post("/api/questions", json=asked).status_code, 403)
        self.api.force_login(User.objects.create_user("bert", is_staff=True))
        created = self.api.post("/api/questions", json=asked)
        self.assertEqual((created.status_code, len(created.json()["choices"])), (201, 2))
        self.assertEqual(Question.objects.get().choices.count(), 2)

    def test_a_question_wants_two_choices(self) -> None:
        """One choice is a 422, and leaves nothing behind."""
        self.api.force_login(User.objects.create_user("bert", is_staff=True))
        answer = self.api.post("/api/questions", json={"question_text": "Sugar?", "choices": [{"choice_text": "Yes"}]})
        self.assertEqual(answer.status_code, 422)
        self.assertFalse(Question.objects.exists())
