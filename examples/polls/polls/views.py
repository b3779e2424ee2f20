"""The pages for people, with the same models and the same votes as the API."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST
from django.views.generic import DetailView, ListView

from polls.models import Question, Questions

LATEST = 5


class Published:
    def get_queryset(self) -> Questions:
        return Question.objects.published()


class Index(Published, ListView):
    template_name = "polls/index.html"

    def get_queryset(self) -> Questions:
        return super().get_queryset()[:LATEST]


class Detail(Published, DetailView):
    template_name = "polls/detail.html"


class Results(Published, DetailView):
    template_name = "polls/results.html"


@require_POST
def vote(request: HttpRequest, question_id: int) -> HttpResponse:
    question = get_object_or_404(Question.objects.published(), id=question_id)
    chosen = request.POST.get("choice", "")
    if chosen.isdecimal() and question.choices.filter(id=chosen).vote():
        return redirect("polls:results", question.id)
    return render(request, "polls/detail.html", {"question": question, "error": "Choose one of them."}, status=400)
