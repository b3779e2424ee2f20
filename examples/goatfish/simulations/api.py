"""FastAPI's half: `mount()` finds this module in every installed app, and includes its `router`."""

from fastapi import APIRouter

from simulations import async_endpoints, endpoints, resource

router = APIRouter(prefix="/v1")
router.include_router(endpoints.router, prefix="/simulations")
router.include_router(async_endpoints.router, prefix="/async/simulations", tags=["async"])
router.include_router(resource.router, prefix="/resource", tags=["resource"])
