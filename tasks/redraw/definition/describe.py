"""Say which models there are and what each serves."""

from __future__ import annotations

from redraw.definition.registry import list_models, load_definition
from redraw.records.results import ModelDescription, ModelList
from redraw.requests import ModelsRequest

__all__ = ["describe_models"]


def describe_models(request: ModelsRequest) -> ModelList:
    """Load every definition found and describe it.

    Args:
        request: Asks for nothing in particular.

    Returns:
        The models by name, with their signatures.

    Raises:
        InvalidDefinition: One of them cannot be loaded.
    """
    return ModelList(
        models=tuple(
            ModelDescription(
                name=found.name,
                summary=found.summary,
                module=found.module,
                signatures=load_definition(found.name).signatures,
            )
            for found in list_models()
        )
    )
