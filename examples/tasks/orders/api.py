"""Orders, which are delivered after the answer by one queue or the other."""

from functools import partial

from django.db import transaction
from fastapi import APIRouter, HTTPException

from djfast_mount.transactions import Atomic
from orders import celery_tasks, tasks
from orders.models import Order

router = APIRouter()


@router.post("/django", status_code=201)
def order_by_django(items: list[str], _: Atomic) -> list[int]:
    """The tasks are rows, written in the transaction of the orders: both are there, or neither."""
    orders = [Order.objects.create(item=item) for item in items]
    for order in orders:
        tasks.deliver.enqueue(order.pk)
    return checked(orders)


@router.post("/celery", status_code=201)
def order_by_celery(items: list[str], _: Atomic) -> list[int]:
    """The messages go to redis after the commit: a worker must find the order, and none comes for a rollback."""
    orders = [Order.objects.create(item=item) for item in items]
    for order in orders:
        transaction.on_commit(partial(celery_tasks.deliver.delay, order.pk))
    return checked(orders)


def checked(orders: list[Order]) -> list[int]:
    """Refuses an item that is not to be had, when everything has been written: it is all taken back."""
    if any(order.item == "unicorn" for order in orders):
        raise HTTPException(409, "There are no unicorns.")
    return [order.pk for order in orders]
