from django.apps import AppConfig


class FirmConfig(AppConfig):
    name = "project.firm"
    label = "firm"
