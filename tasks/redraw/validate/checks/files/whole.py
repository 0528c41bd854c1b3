"""Are all files complete, unchanged since the export, and readable by a server? Without TensorFlow."""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.errors import CheckpointError
from redraw.records import Check
from redraw.records.files import SIGNATURE_FILE
from redraw.serving.graph.serving_graph import ServingGraph
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

_GRAPH, _INDEX = "saved_model.pb", "variables/variables.index"
# The files of a SavedModel and its signature; asset folders may have any files.
_EXPECTED_FILES = re.compile(
    rf"{re.escape(_GRAPH)}|fingerprint\.pb|{re.escape(_INDEX)}|{re.escape(SIGNATURE_FILE)}"
    r"|assets/.+|assets\.extra/tf_serving_warmup_requests"
)
# Protocol buffers count a message's bytes in a signed 32-bit number.
MOST_BYTES = 2**31 - 1
_SERVE = ["serve"]
# The methods of a table that a server calls, in addition to the calls in the graph.
_RESOURCE_METHODS = {"_create_resource", "_initialize", "_destroy_resource"}


def check_files(subject: Subject) -> Check:
    """Demand every file, undamaged, and no other; no links, pipes or devices: the check `files-whole`.

    TensorFlow's C++ loader accepts an export without the variables' index, and then serves nothing.
    """
    folder = subject.folder
    problems = list(_file_problems(folder))
    tensors, size = 0, 0
    if (folder / _GRAPH).is_file():
        problems += _graph_problems(subject)
    if folder.is_dir():
        bundle, damage = _bundle(subject)
        problems += [damage] if damage else []
        problems += [f"tensor {key!r}: {text}" for key, text in sorted(subject.reading.damaged.items())]
        if bundle is not None:
            shards = set(bundle.shard_paths)
            problems += list(_shard_problems(folder, shards))
            problems += [
                f"tensor {e.key!r}: {e.gaps} in its slices" for e in bundle.entries.values() if e.gaps
            ]
            tensors, size = len(bundle.entries), bundle.tensor_bytes
    return conclude(
        "files-whole",
        looked_at=f"every file below {folder}, and the checksum of every tensor",
        expected=f"{_GRAPH}, {_INDEX} and its data files, undamaged; assets, warm-up requests and"
        f" {SIGNATURE_FILE} are allowed; no other file, no link",
        found=f"all files; {tensors} tensors of {size} bytes with correct checksums",
        problems=problems,
        advice="Export again.",
    )


def _graph_problems(subject: Subject) -> list[str]:
    # The check graph-size reports a larger one.
    if (subject.folder / _GRAPH).stat().st_size <= MOST_BYTES:
        try:
            subject.meta_graphs  # noqa: B018 - parsed and cached for later checks
        except CheckpointError as err:
            return [str(err)]
    return []


def _bundle(subject: Subject) -> tuple[TensorBundle | None, str]:
    try:
        return subject.bundle, ""
    except CheckpointError as err:
        return None, str(err)


def _file_problems(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder} is not a folder"
        return
    for name in (_GRAPH, _INDEX):
        if not (folder / name).is_file():
            yield f"{name} is missing"
    for path in sorted(folder.rglob("*")):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield f"{name} is a symbolic link, to {path.readlink()}"
        elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            yield f"{name} is not a regular file"
        elif stat.S_ISREG(mode) and not _EXPECTED_FILES.fullmatch(name) and not name.startswith("variables/"):
            yield f"{name} is not a file of a SavedModel"


def _shard_problems(folder: Path, shards: set[Path]) -> Iterator[str]:
    for path in sorted((folder / "variables").iterdir()):
        name = path.relative_to(folder).as_posix()
        if path not in shards and name != _INDEX:
            yield f"{name} is not one of the {len(shards)} data files that the index names"
    for path in sorted(shards):
        if not path.is_file():
            yield f"{path.relative_to(folder).as_posix()} is missing"


def check_digest(subject: Subject) -> Check:
    """Compare the files with the digest in the export's record: the check `digest`."""
    folder, digest = subject.folder, subject.exported.digest
    actual = subject.reading.digest if folder.is_dir() else "no folder"
    return conclude(
        "digest",
        looked_at=f"the {len(subject.reading.files)} files below {folder}",
        expected=digest,
        found=actual,
        problems=[] if actual == digest else [f"digest {actual}"],
        advice="The files were changed after the export. Export again.",
    )


def check_graph_size(subject: Subject) -> Check:
    """Demand a `saved_model.pb` of less than 2 GB, the most that a server parses: the check `graph-size`."""
    path = subject.folder / "saved_model.pb"
    # The check files-whole reports a missing file.
    size = path.stat().st_size if path.is_file() else 0
    return conclude(
        "graph-size",
        looked_at="the size of saved_model.pb",
        expected=f"at most {MOST_BYTES} bytes, the limit of protocol buffers",
        found=f"{size} bytes",
        problems=[f"{size} bytes"] if size > MOST_BYTES else [],
        advice="Move large constants from the graph to variables or assets.",
    )


def check_serve_tag(subject: Subject) -> Check:
    """Demand one graph, with the tag that servers ask for: the check `serve-tag`."""
    tags = [sorted(graph.meta_info_def.tags) for graph in subject.meta_graphs]
    listed = ", ".join(map(str, tags)) or "none"
    return conclude(
        "serve-tag",
        looked_at="the graphs in saved_model.pb and their tags",
        expected=f"one graph with the tags {_SERVE}",
        found="one graph, with only the tag 'serve'",
        problems=[] if tags == [_SERVE] else [f"{len(tags)} graphs with the tags {listed}"],
        advice="Export again. A server loads the graph whose only tag is 'serve'.",
    )


def check_unreached_functions(subject: Subject) -> Check:
    """Demand that the library holds no function that serving never calls: the check `unreached-functions`."""
    graph = subject.graph
    functions, called = set(graph.arguments), _called(graph)
    return conclude(
        "unreached-functions",
        looked_at=f"the {len(functions)} functions in the graph's library",
        expected="each is called by a signature, the initialization, the restore function or a table",
        found=f"each of the {len(functions)} functions is called",
        problems=[f"{name!r} is never called in serving" for name in sorted(functions - called)],
        advice="Remove the training or evaluation function from the network that build returns, and export"
        " again.",
    )


def _called(graph: ServingGraph) -> set[str]:
    called = set()
    for subgraph in (*graph.answering.values(), graph.initializing, graph.restoring, graph.saving):
        called |= subgraph.functions
    return called | graph.functions_below(_resource_functions(graph))


def _resource_functions(graph: ServingGraph) -> Iterator[str]:
    nodes = graph.meta.object_graph_def.nodes
    for node in nodes:
        if node.WhichOneof("kind") == "resource":
            for child in node.children:
                if child.local_name in _RESOURCE_METHODS:
                    yield from nodes[child.node_id].function.concrete_functions


def check_size_budget(subject: Subject) -> Check:
    """Compare bytes and values of the export with the definition's budget: the check `size-budget`."""
    budget, size = subject.definition.budget, subject.reading.size_bytes
    entries = subject.bundle.entries
    values = sum(math.prod(entry.shape) for key, entry in entries.items() if key != OBJECT_GRAPH_KEY)
    problems = []
    if budget.size_bytes is not None and size > budget.size_bytes:
        problems.append(f"{size} bytes, {size - budget.size_bytes} more than allowed")
    if budget.variables is not None and values > budget.variables:
        problems.append(f"{values} values in variables, {values - budget.variables} more than allowed")
    live = f"; the live version has {subject.live.release.size_bytes} bytes" if subject.live else ""
    bounds = [
        f"at most {bound} {what}"
        for bound, what in ((budget.size_bytes, "bytes"), (budget.variables, "values in variables"))
        if bound is not None
    ]
    return conclude(
        "size-budget",
        looked_at=f"{len(subject.reading.files)} files and {len(entries)} tensors",
        expected=" and ".join(bounds) or "no bounds: the definition's budget has none",
        found=f"{size} bytes, {values} values in variables{live}",
        problems=problems,
        advice="Make the network smaller, or raise the definition's budget.",
    )
