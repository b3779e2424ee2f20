from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path, reverse


def count(request):
    return HttpResponse(f"{User.objects.count()} users; this is {reverse('count')}")


urlpatterns = [path("count/", count, name="count")]
