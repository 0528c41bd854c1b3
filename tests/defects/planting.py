"""What a planted defect is, and the four ways to plant one.

A defect is a small function, or a wrong definition, under one of the decorators below. Its
name is the function's, and its docstring says what it does in production if nobody notices.
The files are sealed again, which gives the record the digest of what was planted: a defect
is found by the check that is meant for it, and not by a file that has changed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.bundle.writer import BundleWriter
from redraw.definition import ModelDefinition
from redraw.definition.registry import load_definition
from redraw.records import ExportedModel
from redraw.storage.files import digest_tree
from tests.defects.bases import Bases, export_definition

__all__ = [
    "Defect",
    "Specimen",
    "copy_of",
    "edit_graph",
    "edit_weights",
    "planted",
    "planted_in_definition",
    "planted_in_files",
    "planted_in_graph",
    "planted_in_weights",
    "sealed",
]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """What is examined.

    Attributes:
        exported: The export, good or bad.
        definition: The right definition, which it is checked against.
        live: The export that is live; None to compare with none.
    """

    exported: ExportedModel
    definition: ModelDefinition
    live: ExportedModel | None = None


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One way for an export to be bad.

    Attributes:
        name: In kebab case.
        base: The model that it is planted in.
        caught_by: The check that is meant to fail.
        in_production: What happens if none does.
        plant: Makes the bad export.
    """

    name: str
    base: str
    caught_by: str
    in_production: str
    plant: Callable[[Bases], Specimen]


Decorator = Callable[[Callable[..., None]], Defect]


def planted(base: str, caught_by: str) -> Callable[[Callable[[Bases], Specimen]], Defect]:
    """Decorate a function that makes the specimen by itself."""

    def decorate(plant: Callable[[Bases], Specimen]) -> Defect:
        return _defect(plant, base, caught_by, plant)

    return decorate


def planted_in_files(base: str, caught_by: str, *, seal: bool = True) -> Decorator:
    """Decorate a function that edits the SavedModel's folder."""

    def decorate(edit: Callable[[Path], None]) -> Defect:
        def plant(bases: Bases) -> Specimen:
            exported = copy_of(bases.export(base), bases.new_folder("defect"))
            edit(Path(exported.uri))
            return Specimen(exported=sealed(exported) if seal else exported, definition=load_definition(base))

        return _defect(edit, base, caught_by, plant)

    return decorate


def planted_in_graph(base: str, caught_by: str) -> Decorator:
    """Decorate a function that edits the `MetaGraphDef`."""

    def decorate(edit: Callable[[Any], None]) -> Defect:
        def in_folder(folder: Path) -> None:
            edit_graph(folder, edit)

        in_folder.__name__, in_folder.__doc__ = edit.__name__, edit.__doc__
        return planted_in_files(base, caught_by)(in_folder)

    return decorate


def planted_in_weights(base: str, caught_by: str) -> Decorator:
    """Decorate a function that edits the variables' values, a dict by key; checksums are made again."""

    def decorate(edit: Callable[[dict[str, np.ndarray]], None]) -> Defect:
        def in_folder(folder: Path) -> None:
            edit_weights(folder, edit)

        in_folder.__name__, in_folder.__doc__ = edit.__name__, edit.__doc__
        return planted_in_files(base, caught_by)(in_folder)

    return decorate


def planted_in_definition(
    base: str, caught_by: str, right: type[ModelDefinition] | None = None
) -> Callable[[type[ModelDefinition]], Defect]:
    """Decorate a wrong definition: the export uses it, the check the right one, by default the base's."""

    def decorate(wrong: type[ModelDefinition]) -> Defect:
        def plant(bases: Bases) -> Specimen:
            out = bases.new_folder("defect")
            exported = export_definition(wrong(), bases.checkpoint(base), out)
            return Specimen(exported=exported, definition=right() if right else load_definition(base))

        return _defect(wrong, base, caught_by, plant)

    return decorate


def copy_of(exported: ExportedModel, out: Path) -> ExportedModel:
    """Copy an export with its ledger, so that it may be damaged."""
    shutil.copytree(exported.uri, out)
    shutil.copyfile(exported.ledger_uri, f"{out}.ledger.json")
    return replace(exported, uri=str(out), ledger_uri=f"{out}.ledger.json")


def sealed(exported: ExportedModel) -> ExportedModel:
    """The record of the files as they are now."""
    digest, size = digest_tree(Path(exported.uri))
    return replace(exported, digest=digest, size_bytes=size)


def edit_graph(folder: Path, edit: Callable[[Any], None]) -> None:
    """Change the only graph of a SavedModel."""
    path = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (meta_graph,) = saved_model.meta_graphs
    assert isinstance(meta_graph, meta_graph_pb2.MetaGraphDef)
    edit(meta_graph)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))


def edit_weights(folder: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the values of a SavedModel's variables, by key."""
    prefix = folder / "variables" / "variables"
    bundle = TensorBundle(prefix)
    values = {key: bundle.read_array(key) for key in bundle.entries}
    edit(values)
    shutil.rmtree(prefix.parent)
    with BundleWriter(prefix, durable=False) as writer:
        for key, value in values.items():
            writer.add_array(key, value)


def _defect(source: Any, base: str, caught_by: str, plant: Callable[[Bases], Specimen]) -> Defect:
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", source.__name__).replace("_", "-").lower()
    assert source.__doc__, f"{name} does not say what it does in production"
    return Defect(
        name=name, base=base, caught_by=caught_by, in_production=source.__doc__.strip(), plant=plant
    )
