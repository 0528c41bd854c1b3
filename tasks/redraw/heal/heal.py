"""Heal a SavedModel: keep the part of its graph that answers, without the part that only trained it."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.formats.source import open_checkpoint
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.definition import RecordedDefinition
from redraw.draft.choosing import Choice
from redraw.draft.module_text import signatures_of
from redraw.draft.signatures import choose_signatures
from redraw.errors import CheckpointNotFound, ValidationFailed, short_list
from redraw.export.destination import open_destination, partial_folder
from redraw.export.prepared import PreparedModel
from redraw.heal.findings import find_problems
from redraw.recorded.files import SAVED_MODEL
from redraw.recorded.reading import Recording, read_recording
from redraw.records.results import Finding, HealedModel
from redraw.requests import HealRequest
from redraw.serving.errors import ServingFailure
from redraw.serving.graph.serving_graph import ServingGraph, read_meta_graphs
from redraw.serving.process import ServingProcess
from redraw.storage.files import scan_tree, writing_to
from redraw.storage.opening import download_tree, open_storage
from redraw.storage.scratch import demand_room, scratch_folder
from redraw.uri import Uri
from redraw.validate.checks.answers.recorded import ROWS, compare_answers
from redraw.validate.outcome import CannotRun
from redraw.validate.subject.recording.saved_model import SavedModelReference

logger = logging.getLogger(__name__)

_VARIABLES = "variables/variables"
_SHOWN = 5


def heal_saved_model(request: HealRequest) -> HealedModel:
    """Heal a SavedModel, or copy it unchanged if it has no problem.

    The healed model's answers are compared with those of the original, which runs in the sandbox with
    its training behaviour overridden layer by layer.

    Args:
        request: The SavedModel, and where to write the healed one.

    Returns:
        What was replaced, with the evidence.

    Raises:
        CheckpointNotFound: There is no SavedModel.
        CheckpointCorrupt: It is damaged.
        InvalidDefinition: It cannot be healed; the message names the reason.
        ValidationFailed: The healed model answers differently; nothing is written.
        OutputExists: There is a file or folder at its place.
    """
    started = time.monotonic()
    with _local(request.saved_model) as folder, open_destination(request.out) as place:
        recording = read_recording(str(folder / SAVED_MODEL))
        problems = _problems(folder)
        choice = choose_signatures(recording, {}, request.stateful_ops)
        definition = _definition(recording, choice, request.stateful_ops)
        needed = [problem for problem in problems if not _declared(problem, request.stateful_ops)]
        with writing_to(place.folder), partial_folder(place.folder) as partial:
            healed = bool(needed or choice.redrawn.replaced)
            difference = _heal(definition, folder, partial) if healed else 0.0
            if not healed:
                if choice.redrawn.variables:
                    open_checkpoint(folder).verify()
                _copy(folder, partial)
            scan = scan_tree(partial)
            place.put_files(partial, scan.files)
    seconds = time.monotonic() - started
    logger.info("%s %s in %.1f s", "healed" if healed else "copied", request.saved_model, seconds)
    counts = {what: count for what, count in choice.redrawn.counts.items() if count}
    return HealedModel(
        saved_model=request.saved_model,
        uri=place.uri,
        healed=healed,
        summary=_summary(needed, counts, healed=healed),
        found=tuple(problems),
        replaced=counts if healed else {},
        signatures=definition.signatures,
        rows=ROWS if healed else 0,
        largest_difference=difference,
        size_bytes=scan.size_bytes,
    )


@contextmanager
def _local(uri: Uri) -> Iterator[Path]:
    """The SavedModel's folder on this machine."""
    with ExitStack() as stack:
        if not uri.is_bucket:
            if not (Path(uri) / SAVED_MODEL).is_file():
                raise _missing(uri)
            yield Path(uri).absolute()
            return
        storage = open_storage(uri)
        files = list(storage.walk())
        if not any(file.name == SAVED_MODEL for file in files):
            raise _missing(uri)
        scratch = stack.enter_context(scratch_folder("heal", sum(file.size for file in files)))
        download_tree(storage, "", scratch / "model")
        yield scratch / "model"


def _missing(uri: Uri) -> CheckpointNotFound:
    return CheckpointNotFound(
        f"{uri}: expected a SavedModel's folder with {SAVED_MODEL}, found none. Correct the URI. For a"
        " checkpoint with a recorded graph, use 'redraw draft'."
    )


def _problems(folder: Path) -> list[Finding]:
    graphs = read_meta_graphs(folder / SAVED_MODEL)
    tagged = [graph for graph in graphs if "serve" in graph.meta_info_def.tags]
    index = folder / f"{_VARIABLES}.index"
    keys = set(TensorBundle(folder / _VARIABLES).entries) - {OBJECT_GRAPH_KEY} if index.exists() else set()
    untagged = Finding(check="loads", text="no graph has the tag 'serve', which servers load", heals=True)
    problems = find_problems(ServingGraph((tagged or graphs)[0]), keys)
    return [*([] if tagged else [untagged]), *problems]


def _declared(problem: Finding, stateful_ops: tuple[str, ...]) -> bool:
    return problem.check == "inference-ops" and any(f"reaches {op} " in problem.text for op in stateful_ops)


def _definition(recording: Recording, choice: Choice, stateful_ops: tuple[str, ...]) -> RecordedDefinition:
    body = {
        "__doc__": "A SavedModel's own graph.",
        "__module__": __name__,
        "recording": str(recording.uri),
        "digest": recording.digest,
        "inputs": {name: tensor for name, (tensor, _) in choice.asked.inputs.items()},
        "outputs": choice.asked.outputs,
        "signatures": signatures_of(recording, choice),
        "stateful_ops": stateful_ops,
        # Read and redrawn once.
        "opened": recording,
        "redrawn": choice.redrawn,
    }
    definition: RecordedDefinition = type("Healed", (RecordedDefinition,), body)()
    definition.check()
    return definition


def _heal(definition: RecordedDefinition, folder: Path, partial: Path) -> float:
    model = PreparedModel(definition)
    for name, signature in definition.opened.meta_graph.signature_def.items():
        if name in model.graph.meta_graph.signature_def and name in definition.signatures:
            model.graph.meta_graph.signature_def[name].method_name = signature.method_name
    model.write(open_checkpoint(folder), definition.weights, partial, allow_non_finite=False)
    return _prove(definition, folder / _VARIABLES, partial)


def _prove(definition: RecordedDefinition, prefix: Path, healed: Path) -> float:
    """The largest difference between the answers of the healed and the original model."""
    where = f"{definition.recording_uri.parent}"
    requests = {name: examples.inputs for name, examples in definition.generate_examples(ROWS).items()}
    reference = SavedModelReference(definition, definition.weights)
    try:
        reference.restore(prefix)
        with ServingProcess() as serving:
            served = serving.load(healed, declared=lambda: definition.stateful_ops)
            problems, most = compare_answers(reference, served.answer, requests, definition.tolerance)
    except (CannotRun, ServingFailure) as err:
        raise ValidationFailed(
            f"{where}: the result cannot be compared with the original model: {err}. Nothing was written."
            " Write the model as a definition."
        ) from err
    finally:
        reference.close()
    if problems:
        raise ValidationFailed(
            f"{where}: expected the original model's answers to {ROWS} rows, got"
            f" {short_list(problems, 'differences', _SHOWN, '; ')}. Nothing was written. Write the model as"
            " a definition."
        )
    return most


def _copy(folder: Path, partial: Path) -> None:
    scan = scan_tree(folder)
    demand_room(partial, scan.size_bytes)
    for file in scan.files:
        target = partial / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)


def _summary(problems: list[Finding], counts: Mapping[str, int], *, healed: bool) -> str:
    if not healed:
        return (
            "Nothing had to be changed: the graph has no dropout, no layer uses the batch's statistics,"
            " and signatures read all variables. The SavedModel was copied unchanged."
        )
    done = ", ".join(f"{count} {what}" for what, count in counts.items())
    kinds: dict[str, int] = {}
    for problem in problems:
        kinds[problem.check] = kinds.get(problem.check, 0) + 1
    problems_text = ", ".join(f"{count} of {check}" for check, count in kinds.items())
    return (
        f"The SavedModel was healed. Problems: {problems_text or 'none found by a check'}; in the graph:"
        f" {done or 'nothing replaced'}."
    )
