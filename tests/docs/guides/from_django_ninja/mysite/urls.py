from django.contrib.auth.models import User
from django.shortcuts import get_object_or_404
from django.urls import path
from ninja import NinjaAPI, Schema

api = NinjaAPI()


class UserOut(Schema):
    id: int
    username: str


@api.get("/users", response=list[UserOut])
def users(request):
    return list(User.objects.order_by("id"))


@api.get("/users/{pk}", response=UserOut)
def user(request, pk: int):
    return get_object_or_404(User, pk=pk)


@api.get("/count")
def count(request):
    return User.objects.count()


urlpatterns = [path("api/", api.urls)]
