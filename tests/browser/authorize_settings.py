"""The test project, which a key and a token log in to."""

from project.settings import *  # noqa: F403

DJFAST_MOUNT = {
    "docs_access": "public",
    "authentication": [  # type: ignore[dict-item]
        "djfast_mount.auth.session",
        "browser.authorize_schemes.key",
        "browser.authorize_schemes.token",
    ],
}
