"""Sites that are served, and chromium before them."""
