from typing import Any

from django.core.management.base import BaseCommand

from orders import delivery, tasks


class Command(BaseCommand):
    help = "Enqueues the tasks of old orders again. A worker that was killed leaves the task that it ran unfinished."

    def handle(self, *args: Any, **options: Any) -> None:
        forgotten = delivery.forgotten()
        for order_id in forgotten:
            tasks.deliver.enqueue(order_id)
        self.stdout.write(f"{len(forgotten)} orders were forgotten.")
