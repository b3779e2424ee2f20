"""Django's half."""

from django.http import HttpRequest, HttpResponse

from testing_project.books.models import Book


def book_list(request: HttpRequest) -> HttpResponse:
    return HttpResponse(", ".join(Book.objects.order_by("title").values_list("title", flat=True)))


def whoami(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.user))
