"""Open the outside reference of a definition: detect its kind, and fetch it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redraw.definition import ModelDefinition, OutsideReference, RecordedDefinition
from redraw.errors import CheckpointNotFound, InvalidName
from redraw.inspect.answers.naming import Exchange, Naming
from redraw.inspect.answers.record_parts import Problems
from redraw.inspect.answers.recorded_requests import merge_exchanges, read_exchanges
from redraw.inspect.inspect import GRAPH_FILE
from redraw.names import ModelName
from redraw.publish.bucket.layout import is_version, release_name
from redraw.publish.bucket.verified import fetch_verified
from redraw.serving.requests import Request, cast_request, generate_request
from redraw.storage.opening import download_tree, open_storage
from redraw.storage.scratch import demand_room
from redraw.uri import BucketUri, Uri
from redraw.validate.subject.outside.witnesses import GraphWitness, SavedModelWitness, ask_witness
from redraw.validate.subject.subject import Subject

_GRAPHS = (".meta", ".pbtxt")
_GENERATED = 200


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A reference that was opened.

    Attributes:
        what: What it is, in words.
        exchanges: Requests with its answers, made one at a time as they are iterated.
        naming: Which names of the two correspond, and which are not compared.
        problems: The problems so far; iterating the exchanges adds more.
    """

    what: str
    exchanges: Iterator[Exchange]
    naming: Naming
    problems: Problems


@contextmanager
def open_reference(subject: Subject, reference: OutsideReference, skipped: set[str]) -> Iterator[Opened]:
    """Open a reference; it is closed on exit.

    Args:
        subject: The export that is compared with it.
        reference: The reference, with its full URI.
        skipped: Signatures that are not compared.

    Yields:
        The reference.

    Raises:
        CheckpointNotFound: There is no reference at the URI.
        CheckpointCorrupt: A SavedModel or a recording is damaged.
        LoadFailed: It is no SavedModel, or has operations that are not allowed.
        StorageError: The bucket cannot be read.
    """
    place, scratch = Uri(reference.uri), subject.scratch / "outside"
    scratch.mkdir(exist_ok=True)
    signatures = {name: spec for name, spec in subject.definition.signatures.items() if name not in skipped}
    naming, problems = Naming(reference, signatures), Problems()
    with ExitStack() as stack:
        if place.name.endswith(_GRAPHS):
            graph = stack.enter_context(closing(GraphWitness(reference, signatures, scratch)))
            exchanges = ask_witness(graph, _reference_requests(subject, signatures), problems)
            what = "the recorded graph"
        elif (folder := _fetch_saved_model(place, scratch)) is not None:
            model = stack.enter_context(closing(subject.load_reference(folder)))
            witness = SavedModelWitness(model, naming)
            exchanges = ask_witness(witness, _reference_requests(subject, signatures), problems)
            what = "the SavedModel"
        else:
            recorded = read_exchanges(_fetch_file(place, scratch), naming, problems)
            exchanges, what = merge_exchanges(recorded), "the recorded requests"
        yield Opened(what=what, exchanges=exchanges, naming=naming, problems=problems)


def _fetch_saved_model(place: Uri, scratch: Path) -> Path | None:
    """A SavedModel's folder on this machine; None if the place holds no SavedModel.

    A published version is checked against its release record.
    """
    if not place.is_bucket:
        return Path(place) if (Path(place) / GRAPH_FILE).exists() else None
    storage, folder = open_storage(place), scratch / "model"
    files = storage.list()
    if not any(item.name == GRAPH_FILE for item in files):
        return None
    if (published := _published(place)) is not None:
        bucket, model, version = published
        fetch_verified(open_storage(bucket), model, version, folder)
        return folder
    demand_room(scratch, sum(item.size for item in files))
    download_tree(storage, "", folder)
    return folder


def _published(place: Uri) -> tuple[BucketUri, ModelName, int] | None:
    """Bucket, model and version, if a release record is next to it."""
    if not is_version(place.name) or not place.parent.key:
        return None
    try:
        bucket, model, version = BucketUri(place.parent.parent), ModelName(place.parent.name), int(place.name)
    except InvalidName:
        return None
    is_published = open_storage(bucket).stat(release_name(model, version)) is not None
    return (bucket, model, version) if is_published else None


def _fetch_file(place: Uri, scratch: Path) -> Path:
    if not place.is_bucket:
        if not Path(place).is_file():
            raise _nothing(place)
        return Path(place)
    storage = open_storage(place.parent)
    item = storage.stat(place.name)
    if item is None:
        raise _nothing(place)
    demand_room(scratch, item.size)
    storage.download(place.name, scratch / "requests")
    return scratch / "requests"


def _nothing(place: Uri) -> CheckpointNotFound:
    return CheckpointNotFound(
        f"reference {place}: expected a SavedModel's folder, a .meta or graph.pbtxt, JSON lines or TFRecords,"
        " got none of these. Correct the URI."
    )


def _reference_requests(subject: Subject, signatures: Iterable[str]) -> Iterator[tuple[str, str, Request]]:
    """The kind of the rows, the signature and the request: held-out and golden, or else generated."""
    definition = subject.definition
    for name in sorted(signatures):
        specs = definition.signatures[name].inputs
        own = [
            (kind, cast_request(examples[name].inputs, specs))
            for kind, examples in (
                ("held-out", subject.held_out_examples),
                ("golden", subject.resources.own_examples),
            )
            if name in examples and not (kind == "golden" and _are_generated(definition))
        ]
        yield from ((kind, name, request) for kind, request in own or [_generated(definition, name)])


def _generated(definition: ModelDefinition, name: str) -> tuple[str, Request]:
    specs = definition.signatures[name].inputs
    if not isinstance(definition, RecordedDefinition):
        return "generated", generate_request(specs, _GENERATED)
    return "generated", cast_request(definition.generate_examples(_GENERATED)[name].inputs, specs)


def _are_generated(definition: ModelDefinition) -> bool:
    """Whether the definition's golden examples are generated ones."""
    return type(definition).golden_examples is RecordedDefinition.golden_examples
