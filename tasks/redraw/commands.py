"""The commands of the command line: each one's request, the function that runs it, and its tables."""

from __future__ import annotations

import importlib
import json
import re
import sys
import typing
from dataclasses import dataclass
from typing import Any

from redraw import requests
from redraw.definition.legacy_keras import use_legacy_keras
from redraw.definition.quiet import keep_stdout, quiet_import
from redraw.definition.registry import needs_legacy_keras
from redraw.dependencies import naming_extras
from redraw.records import Record

# Characters to escape that JSON does not: C1 controls, direction marks, line separators, surrogates.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")


@dataclass(frozen=True)
class Command:
    """A command's request, and the function that runs it, as `module:function`.

    The function is imported only when it is called, because importing TensorFlow takes seconds and half of
    the commands do not need it. The same holds for the function that prints its record as tables.
    """

    request: type[requests.Request]
    verb: str
    loads_definition: bool = False
    tables: str | None = None

    def run(self, request: requests.Request) -> Record:
        """Run the command; an unknown model is refused before the expensive imports."""
        if self.loads_definition and needs_legacy_keras(request.to_json()["model"]):
            use_legacy_keras()
        with keep_stdout(), naming_extras():
            with quiet_import():
                verb = _imported(self.verb)
            return typing.cast(Record, verb(request))

    def show(self, record: Record, form: str) -> None:
        """Print the record as tables or as JSON; `auto` chooses tables for a terminal."""
        terminal = sys.stdout.isatty()
        if self.tables and (form == "table" or (form == "auto" and terminal)):
            _imported(self.tables)(record)
            return
        text = json.dumps(
            record.to_json(), indent=2 if terminal else None, ensure_ascii=False, allow_nan=False
        )
        # Escape lone surrogates of names that are not UTF-8, and characters that could control a terminal.
        sys.stdout.write(
            _UNPRINTABLE.sub(lambda match: json.dumps(match[0], allow_nan=False)[1:-1], text) + "\n"
        )


COMMANDS = {
    "models": Command(requests.ModelsRequest, "redraw.definition.describe:describe_models"),
    "train": Command(requests.TrainRequest, "redraw.train.train:train_model", loads_definition=True),
    "checkpoint": Command(requests.CheckpointRequest, "redraw.checkpoint.select:select_checkpoint"),
    "adopt": Command(requests.AdoptRequest, "redraw.checkpoint.catalogue.adopt:adopt_checkpoints"),
    "checkpoints": Command(
        requests.CheckpointsRequest,
        "redraw.checkpoint.catalogue.listing:list_catalogue",
        tables="redraw.checkpoint.catalogue.listing:print_checkpoints",
    ),
    "export": Command(requests.ExportRequest, "redraw.export.export:export_model", loads_definition=True),
    "draft": Command(
        requests.DraftRequest, "redraw.draft.draft:draft_definition", tables="redraw.draft.draft:print_module"
    ),
    "heal": Command(requests.HealRequest, "redraw.heal.heal:heal_saved_model"),
    "validate": Command(
        requests.ValidateRequest, "redraw.validate.validator:validate_model", loads_definition=True
    ),
    "push": Command(requests.PushRequest, "redraw.publish.push.push:push_model"),
    "reexport": Command(
        requests.ReexportRequest, "redraw.reexport.reexport:reexport_checkpoints", loads_definition=True
    ),
    "live": Command(requests.LiveRequest, "redraw.publish.live.set_live:change_live"),
    "releases": Command(requests.ReleasesRequest, "redraw.publish.releases:list_releases"),
    "prune": Command(requests.PruneRequest, "redraw.publish.prune.prune:prune_versions"),
    "pin": Command(requests.PinRequest, "redraw.publish.live.pin:pin_version"),
    "recover": Command(requests.RecoverRequest, "redraw.publish.recover:recover_pointer"),
    "mirror": Command(requests.MirrorRequest, "redraw.publish.mirror:mirror_versions"),
    "rollout": Command(
        requests.RolloutRequest,
        "redraw.rollout.rollout:confirm_rollout",
        tables="redraw.rollout.tables:print_rollout",
    ),
    "verify": Command(requests.VerifyRequest, "redraw.publish.verify:verify_version"),
    "events": Command(requests.EventsRequest, "redraw.publish.changes:list_events"),
    "log-to-mlflow": Command(requests.LogToMlflowRequest, "redraw.publish.tracking:log_to_mlflow"),
    "passport": Command(requests.PassportRequest, "redraw.publish.passport.passport:write_passport"),
    "differences": Command(requests.DifferencesRequest, "redraw.inspect.differences.compare:compare_weights"),
    "compare-answers": Command(
        requests.CompareAnswersRequest,
        "redraw.inspect.answers.compare:compare_answers",
        tables="redraw.inspect.answers.tables:print_answers",
    ),
    "predict": Command(requests.PredictRequest, "redraw.ask.golden:predict_golden", loads_definition=True),
    "ask": Command(requests.AskRequest, "redraw.ask.ask:ask_version"),
    "scan": Command(
        requests.ScanRequest, "redraw.heal.scan:scan_files", tables="redraw.heal.scan:print_scanned"
    ),
    "examples": Command(requests.ExamplesRequest, "redraw.ask.examples:show_examples"),
    "inspect": Command(
        requests.InspectRequest,
        "redraw.inspect.inspect:inspect_uri",
        tables="redraw.inspect.tables:print_tables",
    ),
}


def _imported(name: str) -> Any:
    """Import the function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
