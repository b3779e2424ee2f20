"""A page of wagtail."""

from __future__ import annotations

from django.db import models
from wagtail.admin.panels import FieldPanel
from wagtail.models import Page


class Article(Page):
    text = models.TextField()
    content_panels = [*Page.content_panels, FieldPanel("text")]
