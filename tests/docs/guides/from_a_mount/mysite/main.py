import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django_app = get_asgi_application()

from mysite.api import api  # noqa: E402

api.mount("/server", django_app)
application = api
