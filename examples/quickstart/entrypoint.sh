#!/bin/sh
# With MIGRATE=1 a container migrates first, however many start at once: one does it, the others wait. Then it becomes
# its command, which so gets the signals.
set -e
if [ "${MIGRATE:-0}" = 1 ]; then
    python manage.py mount_migrate --no-input --verbosity 0
fi
# uvicorn takes no empty number of workers.
[ -n "${WEB_CONCURRENCY:-}" ] || unset WEB_CONCURRENCY
exec "$@"
