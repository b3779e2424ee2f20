from django.contrib.auth.models import Group, User
from django.urls import path
from rest_framework import generics, serializers


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username"]


class GroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = Group
        fields = ["id", "name"]


class UserList(generics.ListAPIView):
    queryset = User.objects.order_by("id")
    serializer_class = UserSerializer


class UserDetail(generics.RetrieveAPIView):
    queryset = User.objects.all()
    serializer_class = UserSerializer


class GroupList(generics.ListCreateAPIView):
    queryset = Group.objects.order_by("id")
    serializer_class = GroupSerializer


urlpatterns = [
    path("api/users/", UserList.as_view()),
    path("api/users/<int:pk>/", UserDetail.as_view()),
    path("api/groups/", GroupList.as_view()),
]
