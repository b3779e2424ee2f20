# Celery's own advice: so that @shared_task finds the app, in the server too.
from shop.celery import app as celery_app

__all__ = ["celery_app"]
