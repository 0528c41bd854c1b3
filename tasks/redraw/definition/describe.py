"""List the models and their signatures."""

from __future__ import annotations

from dataclasses import replace

from redraw.definition.registry import FoundModel, list_models, list_problems, load_definition
from redraw.errors import InvalidDefinition, MissingDependency
from redraw.records.results import ModelDescription, ModelList
from redraw.requests import ModelsRequest


def describe_models(request: ModelsRequest) -> ModelList:
    """Load and describe every definition.

    Args:
        request: Has no options.

    Returns:
        The models by name, with their signatures, or the reason why they cannot be used.
    """
    return ModelList(models=tuple(_describe(model) for model in list_models()), problems=list_problems())


def _describe(model: FoundModel) -> ModelDescription:
    description = ModelDescription(name=model.name, summary=model.summary, module=model.module)
    try:
        definition = load_definition(model.name)
        lacking = definition.lacks("training_data", "evaluation_data", "loss")
        return replace(description, signatures=definition.signatures, trains=not lacking)
    except (InvalidDefinition, MissingDependency) as err:
        return replace(description, problem=str(err))
