"""Describe a model's files and what of them would be refused, without TensorFlow."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.formats.configuration import read_configuration
from redraw.checkpoint.formats.foreign import find_foreign
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.errors import CheckpointCorrupt, CheckpointNotFound, RedrawError, printable
from redraw.heal.findings import find_problems
from redraw.heal.recordings import describe_recording
from redraw.recorded.files import MOST_BYTES, SAVED_MODEL, TEXT_NAMES
from redraw.records.results import Finding, ScannedFiles
from redraw.requests import ScanRequest
from redraw.serving.graph.serving_graph import ServingGraph, parse_meta_graphs
from redraw.storage.opening import read_uri
from redraw.uri import Uri

_VARIABLES = "variables/variables"
_MOST_LINES = 20


def scan_files(request: ScanRequest) -> ScannedFiles:
    """Scan a checkpoint, a SavedModel, a recording or a Keras file, local or in a bucket.

    Args:
        request: Where the files are.

    Returns:
        The content, and what would be refused, by the name of the check or error that reports it.

    Raises:
        CheckpointNotFound: There is no such file or folder.
        CheckpointCorrupt: A file is damaged.
        StorageError: The bucket cannot be read.
    """
    uri = request.uri
    if uri.name == SAVED_MODEL:
        return _scan_saved_model(uri.parent)
    if uri.name.endswith((".meta", *TEXT_NAMES)):
        return describe_recording(uri)
    if read_uri(uri / SAVED_MODEL, 1) is not None:
        return _scan_saved_model(uri)
    return _scan_checkpoint(open_checkpoint(uri), uri)


def print_scanned(scanned: ScannedFiles) -> None:
    """Print the result of a scan."""
    lines = [f"{scanned.uri}: {scanned.kind}" + (f", {scanned.made_by}" if scanned.made_by else "")]
    lines += [f"  {line}" for line in scanned.holds]
    lines += ["Refused:" if scanned.refused else "Nothing in it would be refused."]
    heals = {True: " ('redraw heal' may remove it)", False: ""}
    lines += [f"  {finding.check}: {finding.text}{heals[finding.heals]}" for finding in scanned.refused]
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def _scan_saved_model(uri: Uri) -> ScannedFiles:
    place = uri / SAVED_MODEL
    content = read_uri(place, MOST_BYTES + 1)
    if content is None:
        raise CheckpointNotFound(
            f"{place}: expected a SavedModel's graph, found no such file. Correct the URI."
        )
    if len(content) > MOST_BYTES:
        raise CheckpointCorrupt(
            f"{place}: expected a graph of at most {MOST_BYTES} bytes, got more. Save the weights as"
            " variables, not as constants."
        )
    graphs = parse_meta_graphs(content, place)
    tagged = [graph for graph in graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        raise MalformedError("a SavedModel with a graph", "none").found_in(place)
    graph = ServingGraph((tagged or graphs)[0])
    try:
        source: CheckpointSource | None = open_checkpoint(uri / _VARIABLES)
    except CheckpointNotFound:
        source = None
    keys = set(source.entries) - {OBJECT_GRAPH_KEY} if source is not None else set[str]()
    version = graph.meta.meta_info_def.tensorflow_version
    return ScannedFiles(
        uri=uri,
        kind="SavedModel",
        made_by=f"TensorFlow {version}" if version else "",
        holds=tuple(_in_saved_model(graph, source)),
        refused=(*find_problems(graph, keys), *_of_configuration(source)),
    )


def _in_saved_model(graph: ServingGraph, source: CheckpointSource | None) -> Iterator[str]:
    for name, signature in graph.signatures.items():
        inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
        yield f"signature {name!r}: {', '.join(inputs) or 'nothing'} to {', '.join(outputs) or 'nothing'}"
    operations = Counter(node.op for _, node in graph.nodes())
    functions = len(graph.meta.graph_def.library.function)
    yield f"{operations.total()} operations of {len(operations)} kinds, {functions} functions"
    yield from _tensors(source) if source is not None else ["no variables: all values are in the graph"]


def _scan_checkpoint(source: CheckpointSource, uri: Uri) -> ScannedFiles:
    refused = [*_of_configuration(source)]
    holds = [*_tensors(source)]
    recording = Uri(f"{source.uri}.meta")
    if read_uri(recording, 1) is not None:
        holds.append(
            f"the recorded graph is next to the checkpoint; to draft a definition: redraw draft {recording}"
        )
        try:
            recorded = describe_recording(recording, source)
        except RedrawError as err:
            refused.append(Finding(check=type(err).__name__, text=str(err)))
        else:
            holds += recorded.holds
            refused += recorded.refused
    return ScannedFiles(
        uri=uri, kind=source.format, made_by=_made_by(source), holds=tuple(holds), refused=tuple(refused)
    )


def _made_by(source: CheckpointSource) -> str:
    version: str = getattr(source, "keras_version", "")
    if not version and source.format == "keras_h5":
        version = source.attribute("keras_version")  # type: ignore[attr-defined]
    return f"Keras {version}" if version else ""


def _tensors(source: CheckpointSource) -> Iterator[str]:
    roles = classify_tensors(source.entries, source.graph)
    counts, sizes = Counter[Role](), Counter[Role]()
    for key, role in roles.items():
        counts[role] += 1
        sizes[role] += source.entries[key].size
    for role, count in counts.most_common():
        yield f"{count} tensors, {sizes[role]:,} bytes: {role.value}"


def _of_configuration(source: CheckpointSource | None) -> Iterable[Finding]:
    """The custom classes that loading the model would need."""
    configuration = read_configuration(source) if source is not None else None
    if configuration is None:
        return
    foreign = dict.fromkeys(find_foreign(configuration.model, keras_2=configuration.keras_2))
    for name in list(foreign)[:_MOST_LINES]:
        yield Finding(
            check="CheckpointMismatch",
            text=f"its configuration needs {name}, which is not one of Keras' own layers",
        )
