import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
django_app = get_asgi_application()

from starlette.applications import Starlette  # noqa: E402
from starlette.routing import Mount  # noqa: E402

from mysite.api import api, lifespan  # noqa: E402

application = Starlette(routes=[Mount("/api", api), Mount("/", django_app)], lifespan=lifespan)
