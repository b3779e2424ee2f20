"""Tasks of Celery."""

from celery import shared_task
from django.db import OperationalError

from orders import delivery


@shared_task(autoretry_for=(OperationalError,), retry_backoff=True, max_retries=5)
def deliver(order_id: int) -> bool:
    """A database that is away is asked again, after 1, 2, 4, 8 and 16 seconds."""
    return delivery.deliver(order_id)


@shared_task
def deliver_forgotten() -> int:
    """Sends the messages of old orders again. One is lost with a process that dies between the commit and redis, and
    with a worker that dies just when redis has handed it out.
    """
    forgotten = delivery.forgotten()
    for order_id in forgotten:
        deliver.delay(order_id)
    return len(forgotten)
