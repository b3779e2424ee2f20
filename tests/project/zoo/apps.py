from django.apps import AppConfig


class ZooConfig(AppConfig):
    name = "project.zoo"
    label = "zoo"
