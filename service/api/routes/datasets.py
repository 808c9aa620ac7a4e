"""`/v1/datasets`: which datasets are at hand by name."""

import anyio.to_thread
from fastapi import APIRouter

from schemas.datasets import DatasetList
from service.api.dependencies import ServicesDependency

router = APIRouter(tags=["visualizations"])


@router.get("/v1/datasets", summary="List the datasets that have names")
async def list_datasets(services: ServicesDependency) -> DatasetList:
    return DatasetList(datasets=await anyio.to_thread.run_sync(services.datasets.names))
