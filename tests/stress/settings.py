"""The test project's settings, with the URLs of the project under load."""

import logging

from project.settings import *  # noqa: F403

ROOT_URLCONF = "stress.project_under_load"
LOGGING_CONFIG = None
logging.basicConfig(level=logging.WARNING)
