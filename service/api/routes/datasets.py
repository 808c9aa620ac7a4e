"""`/v1/sets`: which sets of pictures are at hand by name."""

import anyio.to_thread
from fastapi import APIRouter

from schemas.sets import SetList
from service.api.dependencies import ServicesDependency

router = APIRouter(tags=["visualizations"])


@router.get("/v1/sets", summary="List the sets of pictures that have names")
async def list_sets(services: ServicesDependency) -> SetList:
    return SetList(sets=await anyio.to_thread.run_sync(services.sets.names))
