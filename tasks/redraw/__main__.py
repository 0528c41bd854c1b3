"""Turn TensorFlow checkpoints into served models: each command prints one JSON record.

`redraw COMMAND …` and `python -m redraw COMMAND …` are the same.

Flags are the fields of the stage's request; `--request FILE` takes them all as one
JSON object (`-` is standard input). Logs and progress go to standard error. Exit
status: 0, or 1 with one line for an expected error, or 2 for usage, or 130 if it was
interrupted; a bug keeps its traceback. A command whose record people read shows it as
tables where standard output is a terminal.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import sys
import threading
import time
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from redraw import __version__
from redraw.definition.legacy_keras import use_legacy_keras
from redraw.definition.quiet import keep_stdout, quiet_import
from redraw.definition.registry import needs_legacy_keras
from redraw.dependencies import naming_extras
from redraw.errors import (
    InvalidRequest,
    RedrawError,
    UsageError,
    one_line,
    printable,
)
from redraw.records import Record
from redraw.records.codec import json_key
from redraw.requests import (
    AdoptRequest,
    AskRequest,
    CheckpointRequest,
    CheckpointsRequest,
    CompareAnswersRequest,
    DifferencesRequest,
    DraftRequest,
    EventsRequest,
    ExamplesRequest,
    ExportRequest,
    HealRequest,
    InspectRequest,
    LiveRequest,
    LogToMlflowRequest,
    MirrorRequest,
    ModelsRequest,
    PassportRequest,
    PinRequest,
    PredictRequest,
    PruneRequest,
    PushRequest,
    RecoverRequest,
    ReexportRequest,
    ReleasesRequest,
    Request,
    RolloutRequest,
    ScanRequest,
    TrainRequest,
    ValidateRequest,
    VerifyRequest,
)
from redraw.storage.credentials import watch_parent

__all__ = ["main", "run"]


@dataclass(frozen=True)
class Command:
    """A command's request, and the verb that answers it, as `module:function`.

    The verb is imported only when it is called: importing TensorFlow takes seconds,
    and half of the commands have no need of it. So is what shows its record as tables.
    """

    request: type[Request]
    verb: str
    loads_definition: bool = False
    tables: str | None = None

    def run(self, request: Request) -> Record:
        """Call the verb; a model that nobody defines is refused before the expensive imports."""
        if self.loads_definition and needs_legacy_keras(request.to_json()["model"]):
            use_legacy_keras()
        with keep_stdout(), naming_extras():
            with quiet_import():
                verb = _imported(self.verb)
            return typing.cast(Record, verb(request))

    def show(self, record: Record, form: str) -> None:
        """Print the record: as tables, as JSON, or as whatever reads standard output wants it."""
        terminal = sys.stdout.isatty()
        if self.tables and (form == "table" or (form == "auto" and terminal)):
            _imported(self.tables)(record)
            return
        text = json.dumps(
            record.to_json(), indent=2 if terminal else None, ensure_ascii=False, allow_nan=False
        )
        # Lone surrogates of a name that is no UTF-8, and what could command a terminal.
        sys.stdout.write(
            _UNPRINTABLE.sub(lambda found: json.dumps(found[0], allow_nan=False)[1:-1], text) + "\n"
        )


COMMANDS = {
    "models": Command(ModelsRequest, "redraw.definition.describe:describe_models"),
    "train": Command(TrainRequest, "redraw.train.train:train_model", loads_definition=True),
    "checkpoint": Command(CheckpointRequest, "redraw.checkpoint.select:select_checkpoint"),
    "adopt": Command(AdoptRequest, "redraw.checkpoint.catalogue.adopt:adopt_checkpoints"),
    "checkpoints": Command(
        CheckpointsRequest,
        "redraw.checkpoint.catalogue.listing:list_catalogue",
        tables="redraw.checkpoint.catalogue.listing:print_checkpoints",
    ),
    "export": Command(ExportRequest, "redraw.export.export:export_model", loads_definition=True),
    "draft": Command(
        DraftRequest, "redraw.draft.draft:draft_definition", tables="redraw.draft.draft:print_module"
    ),
    "heal": Command(HealRequest, "redraw.heal.heal:heal_saved_model"),
    "validate": Command(ValidateRequest, "redraw.validate.validator:validate_model", loads_definition=True),
    "push": Command(PushRequest, "redraw.publish.push.push:push_model"),
    "reexport": Command(
        ReexportRequest, "redraw.reexport.reexport:reexport_checkpoints", loads_definition=True
    ),
    "live": Command(LiveRequest, "redraw.publish.live.set_live:change_live"),
    "releases": Command(ReleasesRequest, "redraw.publish.releases:list_releases"),
    "prune": Command(PruneRequest, "redraw.publish.prune.prune:prune_versions"),
    "pin": Command(PinRequest, "redraw.publish.live.pin:pin_version"),
    "recover": Command(RecoverRequest, "redraw.publish.recover:recover_pointer"),
    "mirror": Command(MirrorRequest, "redraw.publish.mirror:mirror_versions"),
    "rollout": Command(
        RolloutRequest, "redraw.rollout.rollout:confirm_rollout", tables="redraw.rollout.tables:print_rollout"
    ),
    "verify": Command(VerifyRequest, "redraw.publish.verify:verify_version"),
    "events": Command(EventsRequest, "redraw.publish.changes:list_events"),
    "log-to-mlflow": Command(LogToMlflowRequest, "redraw.publish.tracking:log_to_mlflow"),
    "passport": Command(PassportRequest, "redraw.publish.passport.passport:write_passport"),
    "differences": Command(DifferencesRequest, "redraw.inspect.differences.compare:compare_weights"),
    "compare-answers": Command(
        CompareAnswersRequest,
        "redraw.inspect.answers.compare:compare_answers",
        tables="redraw.inspect.answers.tables:print_answers",
    ),
    "predict": Command(PredictRequest, "redraw.ask.golden:predict_golden", loads_definition=True),
    "ask": Command(AskRequest, "redraw.ask.ask:ask_version"),
    "scan": Command(ScanRequest, "redraw.heal.scan:scan_files", tables="redraw.heal.scan:print_scanned"),
    "examples": Command(ExamplesRequest, "redraw.ask.examples:show_examples"),
    "inspect": Command(
        InspectRequest, "redraw.inspect.inspect:inspect_uri", tables="redraw.inspect.tables:print_tables"
    ),
}
_FORMS = ("auto", "table", "json")
# In addition to what JSON escapes: C1 controls, marks of direction, separators of lines, surrogates.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
_LONGEST_LINE = 16_000
_THREAD_SECONDS = 5.0
# As shells say of a process that was ended by Ctrl-C.
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; the process's own by default.

    Returns:
        The exit status.
    """
    watch_parent()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # Absl gives records that TensorFlow logs a second handler of its own.
    logging.getLogger("absl").propagate = False
    try:
        parsed = _parser().parse_args(arguments)
        command = COMMANDS[parsed.command]
        record = command.run(_request(command.request, parsed))
    except RedrawError as err:
        if err.report is not None:
            _show(command, typing.cast(Record, err.report), "json")
        sys.stderr.write(f"error [{type(err).__name__}]: {one_line(err, _LONGEST_LINE)}\n")
        return 2 if isinstance(err, UsageError) else 1
    return 0 if _show(command, record, getattr(parsed, "format", "auto")) else 1


def _show(command: Command, record: Record, form: str) -> bool:
    """Print a record, and say whether standard output took it: its reader may be gone, its disk full."""
    try:
        command.show(record, form)
        sys.stdout.flush()
    except OSError as err:
        sys.stderr.write(f"error: standard output: expected all of the record to be written, got: {err}\n")
        # What is left in the buffer goes nowhere, or Python would fail once more at its end.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return False
    return True


class _OneLine(logging.Formatter):
    """A record on one line, whatever names are in it; a traceback stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name there
        """The line."""
        return printable(super().formatMessage(record))


def _imported(name: str) -> Any:
    """What `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="redraw", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=f"redraw {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = (command.request.__doc__ or "").strip()
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.add_argument("--request", metavar="FILE", help="all of it as one JSON object; - is stdin")
        hints = typing.get_type_hints(command.request)
        for declared in fields(command.request):
            _add_flag(sub, declared, hints[declared.name])
        if command.tables:
            text = "how to show it (default: a table on a terminal, else JSON)"
            sub.add_argument("--format", choices=_FORMS, default="auto", help=text)
    return parser


def _add_flag(parser: argparse.ArgumentParser, declared: Field[Any], hint: Any) -> None:
    key, help_text = json_key(declared), declared.metadata["help"]
    if declared.default is MISSING and declared.default_factory is MISSING:
        help_text += " (required)"
    if declared.metadata.get("positional"):
        parser.add_argument(declared.name, nargs="?", default=MISSING, help=help_text)
        return
    settings: dict[str, Any] = {"dest": declared.name, "default": MISSING, "help": help_text}
    if hint is bool:
        settings["action"] = "store_true"
    elif typing.get_origin(hint) is tuple:
        kind = int if int in get_args(hint) else str
        # Argparse appends to the default, so that has to be one that it takes for an empty list.
        settings |= {"action": "append", "metavar": key.upper(), "type": kind, "default": None}
    elif any(typing.get_origin(member) is Mapping for member in _members(hint)):
        settings |= {"metavar": "FILE", "type": _read_json}
    else:
        settings["type"] = next((kind for kind in (int, float) if kind in _members(hint)), str)
        settings["metavar"] = key.upper().replace("-", "_")
        settings["choices"] = _choices(hint)
    parser.add_argument("--" + key.replace("_", "-"), **settings)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def _choices(hint: Any) -> list[str] | None:
    for member in _members(hint):
        if typing.get_origin(member) is typing.Literal:
            return [str(choice) for choice in get_args(member)]
    return None


def _request(cls: type[Request], parsed: argparse.Namespace) -> Request:
    given = {
        json_key(declared): getattr(parsed, declared.name)
        for declared in fields(cls)
        if getattr(parsed, declared.name) not in (MISSING, None)
    }
    if parsed.request is None:
        return _from_flags(cls, given)
    if given:
        raise UsageError(f"--request holds the whole request; got --{next(iter(given))} as well.")
    return cls.from_json(_read_json(parsed.request))


def _from_flags(cls: type[Request], given: dict[str, Any]) -> Request:
    try:
        return cls.from_json(given)
    except InvalidRequest as err:
        raise UsageError(str(err)) from err


def _read_json(source: str) -> object:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text()
        return json.loads(text)
    except (OSError, ValueError) as err:
        where = "standard input" if source == "-" else source
        raise InvalidRequest(f"{where}: expected one JSON object, got {err}. Correct the request.") from err


def run() -> None:
    """The console script `redraw`: `main`, and its status as the process's."""
    try:
        status = main()
    except SystemExit as err:
        status = err.code if isinstance(err.code, int) else 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status = _INTERRUPTED
    _end_threads(status)
    sys.exit(status)


def _end_threads(status: int) -> None:
    """End the process where a thread that a definition has started would keep it for ever."""
    end = time.monotonic() + _THREAD_SECONDS
    threads = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if left := [thread.name for thread in threads if thread.is_alive()]:
        sys.stderr.write(f"WARNING redraw: ended with threads that still ran: {', '.join(left)}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    run()
