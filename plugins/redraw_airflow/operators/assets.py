"""One asset for each published model, updated at each change that Airflow makes to the model.

Its URI is the model's, `gs://BUCKET/MODEL`. A task knows its model only when it runs, so it updates the asset
through an alias. Any DAG can be scheduled on the asset itself.
"""

from __future__ import annotations

import logging

from airflow.sdk import Asset, AssetAlias, Context

from redraw.records import Record
from redraw.records.events import ModelEvent

_logger = logging.getLogger(__name__)

# The alias of all models' assets.
CHANGES = AssetAlias("redraw_models")


def model_asset(bucket: str, model: str) -> Asset:
    """The asset of a published model, to schedule a DAG on.

    Args:
        bucket: `gs://` URI of the model bucket.
        model: The definition's name.

    Example:
        >>> with DAG("after_mnist", schedule=[model_asset("gs://models", "mnist")]): ...
    """
    return Asset(f"{bucket.rstrip('/')}/{model}")


def update_assets(context: Context, record: Record) -> None:
    """Update the asset of each model that a stage changed; the event's `extra` is the change."""
    events: tuple[ModelEvent, ...] = getattr(record, "events", ())
    for event in events:
        try:
            asset = model_asset(event.source.parent, event.source.name)
            extra = {**event.data, "at": event.at, "id": event.id, "undelivered": list(event.undelivered)}
            context["outlet_events"][CHANGES].add(asset, extra=extra)
        except Exception as err:  # the change to the model is made already
            _logger.warning("the asset %s is not updated: %s: %s", event.source, type(err).__name__, err)
