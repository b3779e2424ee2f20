"""What a task does, whoever runs it."""

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from orders.models import Order


def deliver(order_id: int) -> bool:
    """Delivers an order once. Queues may run a task twice, so the database says whether it is done already."""
    return bool(Order.objects.filter(pk=order_id, delivered=None).update(delivered=timezone.now()))


def forgotten() -> list[int]:
    """Returns the orders that no task has delivered within `FORGOTTEN_AFTER` seconds."""
    before = timezone.now() - timedelta(seconds=settings.FORGOTTEN_AFTER)
    return list(Order.objects.filter(delivered=None, created__lt=before).values_list("pk", flat=True))
