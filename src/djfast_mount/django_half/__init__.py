"""Django's half of the site: its handler, its middleware and its views."""
