"""The quickstart's settings, with an app whose migrations come to be while the site runs."""

from mysite.settings import *  # noqa: F403
from mysite.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "releases"]
