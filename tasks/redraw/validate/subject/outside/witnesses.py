"""A SavedModel or a recorded graph that answers the definition's requests: what its export has to answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from redraw.checkpoint.catalogue.store import fetch_checkpoint
from redraw.definition import OutsideReference, RecordedDefinition
from redraw.inspect.answers.naming import Exchange, Misfit, Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.inspect import describe_saved_model
from redraw.records import Signature
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, cast_request, count_rows, take_rows
from redraw.uri import Uri

if TYPE_CHECKING:
    from redraw.serving import LoadedModel

_BATCH = 32


class Witness(Protocol):
    """Answers requests that are in the definition's names."""

    def batch(self, signature: str) -> int | None:
        """How many rows it takes at once, if that is fixed; raises `Misfit` if it has no such signature."""
        ...

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """Output name to answers; raises `Misfit` or `ServingFailure`."""
        ...


class SavedModelWitness:
    """A SavedModel, loaded as an export is: its operations are allowed ones, and it runs in the sandbox.

    Args:
        model: It.
        naming: What belongs to what.
    """

    def __init__(self, model: LoadedModel, naming: Naming) -> None:
        self._model, self._naming = model, naming
        self._signatures = describe_saved_model(Uri(model.folder), Uri(model.folder)).signatures

    def _theirs(self, signature: str) -> tuple[str, Signature]:
        name = self._naming.their_signature(signature, self._signatures.keys())
        return name, self._signatures[name]

    def batch(self, signature: str) -> int | None:
        """As `Witness`."""
        shapes = [spec.shape for spec in self._theirs(signature)[1].inputs.values()]
        return next((shape[0] for shape in shapes if shape and shape[0] is not None), None)

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """As `Witness`; numbers are cast to its dtypes."""
        name, theirs = self._theirs(signature)
        taken = self._naming.inputs(signature, {name: name for name in theirs.inputs})
        if extra := sorted(set(theirs.inputs) - set(taken.values())):
            raise Misfit(f"it wants the input {', '.join(map(repr, extra))}, which the export does not take")
        asked = {their: request[ours] for ours, their in taken.items()}
        for their, value in asked.items():
            if (theirs.inputs[their].dtype == "string") != (value.dtype.kind in "OSU"):
                raise Misfit(f"its input {their!r} is {theirs.inputs[their].dtype}, and not {value.dtype}")
        answers = self._model.answer(name, cast_request(asked, theirs.inputs))
        return self._naming.outputs(signature, answers)


class GraphWitness:
    """A recorded graph, untouched, with what training baked in overridden layer by layer.

    Args:
        reference: Names its file, tensors and constants.
        signatures: The definition's.
        scratch: Where a checkpoint from a bucket goes.
    """

    def __init__(
        self, reference: OutsideReference, signatures: Mapping[str, Signature], scratch: Path
    ) -> None:
        from redraw.validate.subject.recording.untouched import UntouchedReference

        names = [(set(one.inputs), set(one.outputs)) for one in signatures.values()]
        inputs, outputs = (set().union(*sides) for sides in zip(*names, strict=True))
        known = {
            "recording": reference.uri,
            "inputs": {name: reference.inputs.get(name, name) for name in inputs},
            "outputs": {name: reference.outputs.get(name, name) for name in outputs},
            "constants": reference.constants,
            "signatures": signatures,
        }
        definition = type("NamedAsReference", (RecordedDefinition,), known)()
        self._graph = UntouchedReference(definition, "raw")
        place = Uri(reference.uri)
        graph = place.name.endswith(".meta")
        checkpoint = Uri(place.removesuffix(".meta")) if graph else place.parent
        self._graph.restore(fetch_checkpoint(checkpoint, scratch)[0])

    def batch(self, signature: str) -> int | None:
        """As `Witness`: it brings requests to its size by itself."""
        return None

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """As `Witness`."""
        return self._graph.answer(signature, request)

    def close(self) -> None:
        """Let go of the weights."""
        self._graph.close()


def ask_witness(
    witness: Witness, requests: Iterable[tuple[str, str, Request]], problems: Problems
) -> Iterator[Exchange]:
    """Ask all requests, in batches.

    Args:
        witness: Who is asked.
        requests: What each request's rows are called, its signature, and its inputs.
        problems: Takes what is not answered.

    Yields:
        The rows with their answers.
    """
    for called, signature, request in requests:
        try:
            for rows in _batches(count_rows(request) or 0, witness.batch(signature)):
                piece = take_rows(request, rows)
                answers = witness.answer(signature, piece)
                count = len(set(rows))
                yield Exchange(
                    rows=tuple(f"{called} row {row}" for row in rows[:count]),
                    signature=signature,
                    inputs=take_rows(piece, range(count)),
                    answers={
                        name: value[:count] if len(value) == len(rows) else value
                        for name, value in answers.items()
                    },
                )
        except (Misfit, ServingFailure) as err:
            problems.add(f"signature {signature!r}, {called} rows: {err}")


def _batches(rows: int, fixed: int | None) -> Iterator[list[int]]:
    """Rows by number; of a fixed number the last row again and again."""
    size = fixed or _BATCH
    for start in range(0, rows, size):
        some = list(range(start, min(start + size, rows)))
        yield some + [some[-1]] * (size - len(some) if fixed else 0)
