"""SavedModels and recorded graphs that answer the definition's requests, to compare with its export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from redraw.checkpoint.catalogue.store import fetch_checkpoint
from redraw.definition import OutsideReference, RecordedDefinition
from redraw.inspect.answers.naming import Exchange, Misfit, Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.inspect import describe_saved_model
from redraw.records import Signature
from redraw.serving import LoadedModel
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, cast_request, count_rows, take_rows
from redraw.uri import Uri

_BATCH = 32


class Witness(Protocol):
    """Answers requests in the definition's names."""

    def batch(self, signature: str) -> int | None:
        """The number of rows that a request must have; None for any number.

        Raises:
            Misfit: It has no such signature.
        """
        ...

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """Output name to answers.

        Raises:
            Misfit: Its inputs or outputs do not match the definition's.
            ServingFailure: The serving process refuses the request, or crashed.
        """
        ...


class SavedModelWitness:
    """A SavedModel, loaded like an export: with allowed operations only, in the sandbox.

    Args:
        model: The loaded SavedModel.
        naming: Which of its names correspond to the definition's.
    """

    def __init__(self, model: LoadedModel, naming: Naming) -> None:
        self._model, self._naming = model, naming
        self._signatures = describe_saved_model(Uri(model.folder), Uri(model.folder)).signatures

    def _find_signature(self, signature: str) -> tuple[str, Signature]:
        name = self._naming.reference_signature(signature, self._signatures.keys())
        return name, self._signatures[name]

    def batch(self, signature: str) -> int | None:
        """The first fixed batch size among the signature's inputs; None if there is none."""
        shapes = [spec.shape for spec in self._find_signature(signature)[1].inputs.values()]
        return next((shape[0] for shape in shapes if shape and shape[0] is not None), None)

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """Output name to answers; the request's numbers are cast to the SavedModel's dtypes."""
        name, spec = self._find_signature(signature)
        input_names = self._naming.inputs(signature, {name: name for name in spec.inputs})
        if extra := sorted(set(spec.inputs) - set(input_names.values())):
            raise Misfit(
                f"the reference requires the input {', '.join(map(repr, extra))}, which the export does not"
                " have"
            )
        inputs = {input_name: request[ours] for ours, input_name in input_names.items()}
        for input_name, value in inputs.items():
            if ((dtype := spec.inputs[input_name].dtype) == "string") != (value.dtype.kind in "OSU"):
                raise Misfit(
                    f"input {input_name!r} is {dtype} in the reference, and {value.dtype} in the export"
                )
        answers = self._model.answer(name, cast_request(inputs, spec.inputs))
        return self._naming.outputs(signature, answers)


class GraphWitness:
    """A recorded graph, unchanged, whose training behaviour is overridden layer by layer.

    Args:
        reference: Names the graph's file, tensors and constants.
        signatures: The definition's signatures.
        scratch: A folder for a checkpoint from a bucket.
    """

    def __init__(
        self, reference: OutsideReference, signatures: Mapping[str, Signature], scratch: Path
    ) -> None:
        from redraw.validate.subject.recording.untouched import UntouchedReference

        names = [(set(spec.inputs), set(spec.outputs)) for spec in signatures.values()]
        inputs, outputs = (set().union(*sides) for sides in zip(*names, strict=True))
        attributes = {
            "recording": reference.uri,
            "inputs": {name: reference.inputs.get(name, name) for name in inputs},
            "outputs": {name: reference.outputs.get(name, name) for name in outputs},
            "constants": reference.constants,
            "signatures": signatures,
        }
        definition = type("NamedAsReference", (RecordedDefinition,), attributes)()
        self._graph = UntouchedReference(definition, "raw")
        place = Uri(reference.uri)
        graph = place.name.endswith(".meta")
        checkpoint = Uri(place.removesuffix(".meta")) if graph else place.parent
        self._graph.restore(fetch_checkpoint(checkpoint, scratch)[0])

    def batch(self, signature: str) -> int | None:
        """None: it pads requests to its batch size itself."""
        return None

    def answer(self, signature: str, request: Request) -> Mapping[str, np.ndarray]:
        """Output name to answers."""
        return self._graph.answer(signature, request)

    def close(self) -> None:
        """Free the weights."""
        self._graph.close()


def ask_witness(
    witness: Witness, requests: Iterable[tuple[str, str, Request]], problems: Problems
) -> Iterator[Exchange]:
    """Ask all requests, in batches.

    Args:
        witness: The witness.
        requests: The kind of the rows (such as "golden"), the signature and the inputs of each request.
        problems: Collects the requests that are not answered.

    Yields:
        Rows with their answers.
    """
    for kind, signature, request in requests:
        try:
            for rows in _batches(count_rows(request) or 0, witness.batch(signature)):
                piece = take_rows(request, rows)
                answers = witness.answer(signature, piece)
                count = len(set(rows))
                yield Exchange(
                    rows=tuple(f"{kind} row {row}" for row in rows[:count]),
                    signature=signature,
                    inputs=take_rows(piece, range(count)),
                    answers={
                        name: value[:count] if len(value) == len(rows) else value
                        for name, value in answers.items()
                    },
                )
        except (Misfit, ServingFailure) as err:
            problems.add(f"signature {signature!r}, {kind} rows: {err}")


def _batches(rows: int, fixed: int | None) -> Iterator[list[int]]:
    """Row numbers, batch by batch; the last batch repeats its last row if the batch size is fixed."""
    size = fixed or _BATCH
    for start in range(0, rows, size):
        batch = list(range(start, min(start + size, rows)))
        yield batch + [batch[-1]] * (size - len(batch) if fixed else 0)
