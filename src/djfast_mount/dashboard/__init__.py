"""``/admin/mount/``: what this process is doing, for its staff.

1. It looks on: it is told of requests by djfast_mount.telemetry, and asks the pool and the databases' wrappers.
2. Memory is bounded: a fixed number of routes, of slots of time and of entries in each list. Nothing is stored.
3. It keeps no path, no value of a statement, no header, no body and no user: route templates, the shapes of statements
   and lines of code only.
4. It tells of one process. Where a server has several workers, the page says which one it shows.
"""
