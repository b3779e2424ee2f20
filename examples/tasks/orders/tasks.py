"""Tasks of Django 6."""

from django.tasks import task

from orders import delivery


@task
def deliver(order_id: int) -> bool:
    return delivery.deliver(order_id)
