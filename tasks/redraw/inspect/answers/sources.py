"""The requests of a comparison: examples of the version and its definition, and logged requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from redraw.definition import GoldenExamples, ModelDefinition, OutsideReference
from redraw.definition.examples import read_examples
from redraw.definition.legacy_keras import use_legacy_keras
from redraw.definition.quiet import quiet_import
from redraw.definition.registry import definition_for, needs_legacy_keras
from redraw.errors import InvalidDefinition, InvalidRequest, MissingDependency, UnknownModel
from redraw.inspect.answers.batches import RequestBatch, split_batch
from redraw.inspect.answers.logged_requests import LoggedRequests
from redraw.inspect.answers.naming import Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.records import Release, Signature
from redraw.requests import CompareAnswersRequest
from redraw.serving.requests import cast_request, count_rows
from redraw.storage.opening import open_storage
from redraw.storage.scratch import demand_room
from redraw.uri import Uri

GOLDEN, HELD_OUT = "golden", "held-out"
_WARM_UP = Path("assets.extra/tf_serving_warmup_requests")


def demand_sources(names: Sequence[str]) -> None:
    """Demand that each file of requests exists, before anything is fetched.

    Raises:
        InvalidRequest: A file does not exist.
    """
    for name in names:
        place = Uri(name)
        if name in (GOLDEN, HELD_OUT):
            continue
        if place.is_bucket:
            exists = bool(place.name) and open_storage(place.parent).stat(place.name) is not None
        else:
            exists = Path(place).is_file()
        if not exists:
            raise InvalidRequest(
                f"requests {name}: expected a file of JSON lines or TFRecords, {GOLDEN} or {HELD_OUT},"
                " found no such file. Correct the path."
            )


class Sources:
    """All requests of a comparison, each source read when its turn comes.

    Args:
        request: Names the sources; by default the golden and the held-out examples.
        release: The version that the examples belong to.
        signatures: The signatures that are compared.
        scratch: A folder with the version's files in `here`, and room for files from a bucket.
        problems: Collects the problems of lines.

    Attributes:
        notes: What is left out, in words.
    """

    def __init__(
        self,
        request: CompareAnswersRequest,
        release: Release,
        signatures: Mapping[str, Signature],
        scratch: Path,
        problems: Problems,
    ) -> None:
        self._request, self._release, self._scratch = request, release, scratch
        self._naming = Naming(OutsideReference(), signatures)
        self._problems = problems
        self._lacking = ""

    @property
    def notes(self) -> list[str]:
        """What is left out, in words."""
        return [*self._naming.notes, *([self._lacking] if self._lacking else [])]

    def batches(self, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        """All requests, in batches of at most `rows()` rows."""
        for name in self._request.requests or (GOLDEN, HELD_OUT):
            if name == HELD_OUT:
                yield from self._held_out(rows)
            elif name == GOLDEN:
                yield from self._golden(rows)
            else:
                yield from self._file(Uri(name), rows)

    def definition(self) -> ModelDefinition | None:
        """The version's definition; None, with a note, if it cannot be used here."""
        return self._definition

    @cached_property
    def _definition(self) -> ModelDefinition | None:
        name, trained_at = self._release.model, self._release.checkpoint.trained_at
        try:
            if needs_legacy_keras(name):
                use_legacy_keras()
            with quiet_import():
                return definition_for(name, trained_at)
        except (UnknownModel, InvalidDefinition, MissingDependency) as err:
            self._lacking = (
                f"no held-out examples and no metrics, because the definition cannot be used: {err}"
            )
            return None

    def _golden(self, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        path = self._scratch / "here" / _WARM_UP
        if path.exists():
            yield from self._logged(path, GOLDEN, rows)
        else:
            self._naming.note(f"{GOLDEN}: the version has no warm-up requests")

    def _held_out(self, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        if self._definition is not None:
            examples = read_examples(self._definition, "held_out_examples")
            if not examples:
                self._naming.note(f"{HELD_OUT}: the definition has no held_out_examples")
            yield from batches_of_examples(HELD_OUT, examples, self._naming.signatures, rows)

    def _file(self, place: Uri, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        if not place.is_bucket:
            yield from self._logged(Path(place), place.name, rows)
            return
        storage, path = open_storage(place.parent), self._scratch / "requests"
        item = storage.stat(place.name)
        if item is None:
            raise InvalidRequest(
                f"requests {place}: the file was removed while it was being read. Run the same command again."
            )
        demand_room(self._scratch, item.size)
        storage.download(place.name, path)
        yield from self._logged(path, place.name, rows)
        path.unlink()

    def _logged(self, path: Path, source: str, rows: Callable[[], int]) -> Iterator[RequestBatch]:
        logged = LoggedRequests(path, source, self._naming, self._request.slice, self._problems)
        yield from logged.batches(rows)
        # A server may use another name for the model, so its requests count.
        for name, count in sorted(logged.models.items()):
            if name != self._request.model:
                self._naming.note(
                    f"{source}: {count} requests name another model, {name!r}, and are compared too"
                )


def batches_of_examples(
    source: str,
    examples: Mapping[str, GoldenExamples],
    signatures: Mapping[str, Signature],
    rows: Callable[[], int],
) -> Iterator[RequestBatch]:
    """A definition's examples as requests, for the signatures that are compared.

    Args:
        source: The name of the source in messages.
        examples: Signature name to examples.
        signatures: The signatures that are compared.
        rows: Returns the most rows of a request.
    """
    for name, example in sorted(examples.items()):
        inputs = cast_request(example.inputs, signatures[name].inputs) if name in signatures else {}
        if count := count_rows(inputs) if inputs else None:
            batch = RequestBatch(
                source=source,
                signature=name,
                inputs=inputs,
                unit="row",
                numbers=np.arange(count),
                labels=example.labels,
            )
            yield from split_batch(batch, rows)
