"""From mount()'s arguments to apps that are ready to serve."""
