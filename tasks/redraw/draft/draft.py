"""Draft a definition from a recorded graph: read it, choose what it serves, and write a module."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from redraw.checkpoint.formats.configuration import Configuration, read_configuration
from redraw.checkpoint.formats.locate import locate_checkpoint
from redraw.checkpoint.formats.source import CheckpointSource, open_checkpoint
from redraw.draft.choosing import Choice, Undecided, choose
from redraw.draft.keras_files import configuration_text, keras_module_text
from redraw.draft.module_text import module_text
from redraw.draft.signatures import choose_signatures, has_signatures
from redraw.errors import CheckpointNotFound, InvalidRequest, OutputExists, printable
from redraw.names import ModelName
from redraw.recorded.files import MOST_BYTES, SAVED_MODEL
from redraw.recorded.reading import Recording, read_recording
from redraw.recorded.shapes import Shape
from redraw.records.results import DraftedDefinition
from redraw.requests import DraftRequest
from redraw.storage.files import demand_outside_saved_model
from redraw.storage.opening import read_uri, write_uri
from redraw.uri import Uri

_GRAPHS = (".meta", ".pbtxt", SAVED_MODEL)
_TENSOR_FLAG = re.compile(r"(?:(?P<name>[^=\[\]]+)=)?(?P<tensor>[^=\[\]]+)(?:\[(?P<shape>[0-9?, ]*)\])?")
_QUESTIONS = {
    "output": "Which tensor is the answer?",
    "input": "Which tensor takes the request?",
    "shape": "What is the shape of {about}? Write the batch first, and ? for any size, such as ?,10.",
    "set": "Which value does {about} have in serving?",
}


def draft_definition(request: DraftRequest) -> DraftedDefinition:
    """Draft a definition; only pieces of the recorded graph that do nothing but compute are run.

    Args:
        request: Where the recording is, and the inputs, outputs and flags that are not to be chosen.

    Returns:
        The module's text, and where it was written.

    Raises:
        CheckpointNotFound: There is no recording.
        CheckpointCorrupt: The file is no recording.
        InvalidRequest: Several choices are equally good; the message lists them.
        InvalidDefinition: The graph cannot be served.
        OutputExists: The module exists already.
    """
    keras_file = _find_configuration(request.source)
    if keras_file is not None:
        return _draft_keras(request, *keras_file)
    recording = read_recording(_find_recording(request.source))
    if recording.is_saved_model and not (request.input or request.output or has_signatures(recording)):
        # Keras 2 stores the model's configuration in a file of its own.
        source = open_checkpoint(recording.uri.parent)
        configuration = read_configuration(source)
        if configuration is not None:
            return _draft_keras(request, source, configuration)
    choice = _decide(recording, request)
    model = request.name or ModelName(_model_name(recording.uri))
    place = recording.uri.absolute()
    if request.keep_graph is not None:
        _demand_apart(request.keep_graph)
        place = request.keep_graph / model / f"{recording.digest[:12]}{_ending(recording.uri)}"
        write_uri(place, read_uri(recording.uri, MOST_BYTES) or b"")
    text = module_text(model, place, recording, choice)
    path = _write(request.out, model, text) if request.out is not None else ""
    return DraftedDefinition(
        model=model,
        recording=place,
        digest=recording.digest,
        path=path,
        module=text,
        replaced=dict(choice.redrawn.counts),
    )


def _find_configuration(uri: Uri) -> tuple[CheckpointSource, Configuration] | None:
    """A Keras file with its model's configuration; None for any other source."""
    if uri.name.endswith(_GRAPHS) or not uri.name.endswith((".keras", ".h5", ".hdf5")):
        return None
    source = open_checkpoint(uri)
    configuration = read_configuration(source)
    if configuration is None:
        raise CheckpointNotFound(
            f"{uri}: expected a full model with its configuration, got only weights. Save the model"
            " (model.save), or write it as a definition."
        )
    return source, configuration


def _draft_keras(
    request: DraftRequest, source: CheckpointSource, configuration: Configuration
) -> DraftedDefinition:
    """Draft from a Keras file; its configuration goes next to the module, or to `keep_graph`."""
    if request.out is None and request.keep_graph is None:
        raise InvalidRequest(
            f"{source.uri}: expected a place for the configuration, got none. Add --out PACKAGE or"
            " --keep-graph URI."
        )
    text = configuration_text(source, configuration)
    model = request.name or ModelName(_model_name(Uri(source.uri)))
    digest = hashlib.sha256(text).hexdigest()
    if request.keep_graph is not None:
        _demand_apart(request.keep_graph)
        place = request.keep_graph / model / f"{digest[:12]}.json"
        named = str(place.absolute())
    else:
        place = Uri(f"{request.out}/{model}.json")
        if read_uri(place, 1) is not None:
            raise OutputExists(f"{place}: this file already exists. Choose another name with --name.")
        named = place.name
    module = keras_module_text(model, named, source, text)
    path = _write(request.out, model, module) if request.out is not None else ""
    write_uri(place, text)
    return DraftedDefinition(
        model=model, recording=place.absolute(), digest=digest, path=path, module=module, replaced={}
    )


def _decide(recording: Recording, request: DraftRequest) -> Choice:
    """Choose what to serve; in interactive mode, ask a person about each open choice."""
    while True:
        inputs = {name: (tensor, shape) for name, tensor, shape in map(_parse_tensor, request.input)}
        outputs = {name: tensor for name, tensor, _ in map(_parse_tensor, request.output)}
        constants = dict(map(_parse_setting, request.set))
        try:
            if recording.is_saved_model and not inputs and not outputs:
                return choose_signatures(recording, constants)
            return choose(recording, inputs, outputs, constants)
        except Undecided as err:
            if not request.interactive:
                raise InvalidRequest(str(err)) from err
            field, values = _ask_person(err)
            earlier = () if err.kind == "shape" else getattr(request, field)
            more: dict[str, Any] = {field: (*earlier, *values)}
            request = replace(request, **more)


def print_module(drafted: DraftedDefinition) -> None:
    """Show the module on a terminal."""
    sys.stdout.write(drafted.module)


def _find_recording(source: Uri) -> Uri:
    if source.name.endswith(_GRAPHS):
        return source
    if read_uri(source / SAVED_MODEL, 1) is not None:
        return source / SAVED_MODEL
    located = locate_checkpoint(source)
    places = (located.uri.with_ending(".meta"), located.folder.uri_of("graph.pbtxt"))
    for place in places:
        if read_uri(place, 1) is not None:
            return place
    raise CheckpointNotFound(
        f"{source}: expected a recorded graph, {places[0].name} or graph.pbtxt, next to the checkpoint,"
        " found neither. Name the file of the graph, or write the model as a definition."
    )


def _ending(uri: Uri) -> str:
    return f"/{SAVED_MODEL}" if uri.name == SAVED_MODEL else uri.name[uri.name.rindex(".") :]


def _model_name(uri: Uri) -> str:
    name = re.sub(r"[^a-z0-9_]", "_", uri.absolute().parent.name.lower()).strip("_")
    return name if name[:1].isalpha() else f"recorded_{name}".rstrip("_")


def _parse_tensor(text: str) -> tuple[str, str, Shape]:
    """Parse `TENSOR` or `NAME=TENSOR`, with an optional shape in brackets."""
    match = _TENSOR_FLAG.fullmatch(text)
    if match is None:
        raise InvalidRequest(
            f"draft request: expected TENSOR, NAME=TENSOR or NAME=TENSOR[?,10], got {text!r}. Correct the"
            " value."
        )
    tensor = match["tensor"].strip()
    name = (
        match["name"] or re.sub(r"[^A-Za-z0-9_]", "_", tensor.partition(":")[0].rpartition("/")[2])
    ).strip()
    sizes = [size.strip() for size in (match["shape"] or "").split(",") if size.strip()]
    shape = tuple(None if size == "?" else int(size) for size in sizes) if sizes else None
    return name, tensor, shape


def _parse_setting(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    words: dict[str, Any] = {"true": True, "false": False}
    if not separator or not name or not value:
        raise InvalidRequest(f"draft request: set: expected NAME=VALUE, got {text!r}. Correct the value.")
    try:
        if value.startswith("["):
            return name, json.loads(value)
        return name, words[value.lower()] if value.lower() in words else float(
            value
        ) if "." in value else int(value)
    except ValueError:
        return name, value


def _demand_apart(folder: Uri) -> None:
    if not folder.is_bucket:
        demand_outside_saved_model(Path(folder))


def _write(folder: Uri, model: str, text: str) -> str:
    path = Path(folder) / f"{model}.py"
    if folder.is_bucket or path.exists():
        raise OutputExists(
            f"{folder}: expected a local folder without {model}.py. Choose another name with --name."
        )
    _demand_apart(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _ask_person(undecided: Undecided) -> tuple[str, tuple[str, ...]]:
    """Ask a person at a terminal about an open choice; returns a field of the request and its values."""
    if not sys.stdin.isatty():
        raise InvalidRequest(f"interactive: expected a terminal, got none. {undecided}")
    if undecided.kind == "shape":
        shape = _read_answer(undecided, ())[0]
        return "input", tuple(
            f"{flag}[{shape}]" if flag.partition("=")[0] == undecided.about else flag
            for flag, _ in undecided.candidates
        )
    chosen = _read_answer(undecided, undecided.candidates)
    if undecided.kind == "set":
        return "set", (f"{undecided.about}={chosen[0]}",)
    return undecided.kind, chosen


def _read_answer(undecided: Undecided, candidates: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    several = undecided.kind in ("output", "input")
    _print(f"\n{_QUESTIONS[undecided.kind].format(about=undecided.about)}\n")
    for number, (value, evidence) in enumerate(candidates, start=1):
        _print(f"  {number}  {value}  ({evidence})\n")
    while True:
        _print("Numbers or names, separated by commas: " if several else "> ")
        line = sys.stdin.readline()
        if not line:
            raise InvalidRequest(f"interactive: expected an answer, got none. {undecided}")
        parts = [part.strip() for part in (line.split(",") if several else [line]) if part.strip()]
        numbers = [int(part) for part in parts if part.isdecimal()] if candidates else []
        if parts and all(1 <= number <= len(candidates) for number in numbers):
            return tuple(candidates[int(p) - 1][0] if candidates and p.isdecimal() else p for p in parts)


def _print(text: str) -> None:
    sys.stderr.write("\n".join(map(printable, text.split("\n"))))
    sys.stderr.flush()
