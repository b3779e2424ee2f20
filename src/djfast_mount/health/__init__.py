"""What tells those who watch the process that it lives, and that it is ready for requests."""
