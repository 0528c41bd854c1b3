"""Starts the first DAG of a file as its asset's watcher does: `run_arrival.py ANSWER FILE`.

The trigger looks until its first event, which becomes the asset's as the triggerer makes it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from airflow.models.asset import AssetEvent, AssetModel
from sqlalchemy import select

from tests.dags.run_dag import load, run_first


def main(answer: str, file: str) -> None:
    """Wait for the event, and run the DAG."""
    module = load(file)
    (watcher,) = module["ARRIVALS"].watchers
    kind, arguments = watcher.trigger.serialize()
    package, _, name = kind.rpartition(".")
    trigger = getattr(sys.modules[package], name)(**arguments)

    async def first() -> Any:
        return await asyncio.wait_for(anext(trigger.run()), 60)

    event = asyncio.run(first())

    def give_event(session: Any, run: Any) -> None:
        asset = session.scalar(select(AssetModel).where(AssetModel.name == module["ARRIVALS"].name))
        extra = {"from_trigger": True, "payload": event.payload}
        run.consumed_asset_events.append(AssetEvent(asset_id=asset.id, extra=extra))

    run_first(answer, module, None, {}, give_event)


if __name__ == "__main__":
    main(*sys.argv[1:])
