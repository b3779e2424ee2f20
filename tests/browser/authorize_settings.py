"""The test project, which a key and a token log in to."""

from project.settings import *  # noqa: F403

DJFAST_MOUNT = {
    "docs_access": "public",
    "authentication": ["djfast_mount.auth.session", "authorize_schemes.key", "authorize_schemes.token"],
}
