import os

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django_app = get_wsgi_application()

from mysite.api import api  # noqa: E402

api.mount("/server", WSGIMiddleware(django_app))
application = api
