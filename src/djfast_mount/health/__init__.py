"""What tells whoever watches the process that it lives, and that it is ready for requests."""
