"""Which app answers a path: prefixes, and routes that are left to Django. ASGI words only."""
