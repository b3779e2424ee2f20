from __future__ import annotations

from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone


class Questions(models.QuerySet["Question"]):
    # By the database's clock, when it is asked: a queryset may be made at import, and live long.
    def published(self) -> Questions:
        return self.filter(pub_date__lte=Now())


class Question(models.Model):
    question_text = models.CharField(max_length=200)
    pub_date = models.DateTimeField("date published", default=timezone.now)

    objects = Questions.as_manager()

    class Meta:
        ordering = ["-pub_date", "-id"]

    def __str__(self) -> str:
        return self.question_text


class Choices(models.QuerySet["Choice"]):
    # The database adds: two votes at once are two statements, and neither has read what the other is about to write.
    def vote(self) -> int:
        return self.update(votes=F("votes") + 1)

    async def avote(self) -> int:
        return await self.aupdate(votes=F("votes") + 1)


class Choice(models.Model):
    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="choices")
    choice_text = models.CharField(max_length=200)
    votes = models.PositiveIntegerField(default=0)

    objects = Choices.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.choice_text
