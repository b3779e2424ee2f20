"""What of Django an API call has: request, session, CSRF check, settings and middleware."""
