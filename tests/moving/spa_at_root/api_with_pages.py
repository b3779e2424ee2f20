from moving.spa_at_root.api import api
from moving.spa_at_root.spa import DIST, SPA

api.mount("/", SPA(directory=DIST, html=True))
