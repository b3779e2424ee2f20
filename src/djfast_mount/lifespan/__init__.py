"""The life of the process: start-up and shutdown of every mounted app, SIGTERM, the garbage collector."""
