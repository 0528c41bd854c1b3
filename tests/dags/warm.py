"""Imports what a DAG run needs, and builds Airflow's own API in it, which takes longer than the imports."""

from __future__ import annotations

import asyncio

import airflow.dag_processing.collection
import airflow.providers.standard.operators.hitl
import airflow.sdk.execution_time.task_runner
import airflow.serialization.serialized_objects  # noqa: F401
import httpx
from airflow.sdk.execution_time.supervisor import in_process_api_server
from sqlalchemy.orm import configure_mappers


async def _ask() -> None:
    transport = httpx.ASGITransport(app=in_process_api_server().app)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        (await client.get("/health")).raise_for_status()


configure_mappers()
# The API makes its versions at the first request.
asyncio.run(_ask())
