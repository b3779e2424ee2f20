"""Tasks of Celery."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from orders import delivery
from orders.models import Order


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def deliver(order_id: int) -> bool:
    """A database that is away is asked again, after 1, 2, 4, 8 and 16 seconds."""
    return delivery.deliver(order_id)


@shared_task
def deliver_forgotten() -> int:
    """Sends the messages of old orders again. One is lost with a process that dies between the commit and redis, and
    with a worker that dies just when redis has handed it out.
    """
    before = timezone.now() - timedelta(seconds=settings.FORGOTTEN_AFTER)
    forgotten = Order.objects.filter(delivered=None, created__lt=before).values_list("pk", flat=True)
    for order_id in forgotten:
        deliver.delay(order_id)
    return len(forgotten)
