"""Lists, and how they are cut into pages."""
