"""API tokens: an app of its own, ``"djfast_mount.tokens"`` in INSTALLED_APPS. It imports nothing by itself."""
