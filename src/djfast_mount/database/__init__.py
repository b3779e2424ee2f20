"""Django's connections on the threads: signals, what a request leaves behind, connections elsewhere."""
