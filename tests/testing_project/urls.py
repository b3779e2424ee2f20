from django.contrib import admin
from django.urls import path

from testing_project.books import views

urlpatterns = [path("admin/", admin.site.urls), path("books/", views.book_list), path("whoami/", views.whoami)]
