"""Every check by name, in the order in which they run: the cheap and TensorFlow-free ones first."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from redraw.errors import InvalidRequest
from redraw.records import Check

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


@dataclass(frozen=True)
class PlannedCheck:
    """One check of the plan.

    Attributes:
        name: Its name in the report and in waivers.
        function: `module:function` below `redraw.validate.checks`. It is imported when its turn comes, so
            that an export that fails early costs no import of TensorFlow. It takes the subject and
            returns the check.
        needs: The checks that must have passed before it runs.
        of_graph: Whether it looks only at `saved_model.pb` and the definition. Exports with the
            same file share its result.
    """

    name: str
    function: str
    needs: tuple[str, ...] = ()
    of_graph: bool = False

    def run(self, subject: Subject) -> Check:
        """Run the check.

        Raises:
            CannotRun: The check lacks something that it needs.
        """
        module, _, function = self.function.partition(":")
        loaded = importlib.import_module(f"redraw.validate.checks.{module}")
        return cast("Callable[[Subject], Check]", getattr(loaded, function))(subject)


_FILES = ("files-whole", "digest")
_GRAPH = (*_FILES, "graph-size", "serve-tag")
_SERVED = (*_FILES, "signatures", "loads")

PLAN = (
    # The files, without TensorFlow. The size comes first: a graph that is too large is not parsed.
    PlannedCheck("graph-size", "files.whole:check_graph_size"),
    PlannedCheck("files-whole", "files.whole:check_files"),
    PlannedCheck("digest", "files.whole:check_digest"),
    PlannedCheck("serve-tag", "files.whole:check_serve_tag", (*_FILES, "graph-size"), of_graph=True),
    PlannedCheck("finite-weights", "weights.weights_source:check_finite_weights", _FILES),
    # The graph, without TensorFlow unless something is wrong.
    PlannedCheck("method-names", "graph.signatures:check_method_names", _GRAPH, of_graph=True),
    PlannedCheck("live-signatures", "graph.signatures:check_live_signatures", _GRAPH),
    PlannedCheck("custom-ops", "graph.known_ops:check_custom_ops", _GRAPH, of_graph=True),
    PlannedCheck("accelerator-ops", "graph.operations:check_accelerators", _GRAPH, of_graph=True),
    PlannedCheck("host-code", "graph.operations:check_host_code", _GRAPH, of_graph=True),
    PlannedCheck("unreached-functions", "files.whole:check_unreached_functions", _GRAPH, of_graph=True),
    PlannedCheck("single-copy", "weights.single_copy:check_single_copy", _GRAPH),
    PlannedCheck("inference-ops", "graph.operations:check_inference_ops", _GRAPH, of_graph=True),
    # Files and graph, checked against the definition.
    PlannedCheck("weights-source", "weights.weights_source:check_weights_source", _GRAPH),
    PlannedCheck("file-configuration", "weights.file_configuration:check_file_configuration", _GRAPH),
    PlannedCheck("signatures", "graph.signatures:check_signatures", _GRAPH, of_graph=True),
    PlannedCheck("serving-runtime", "graph.known_ops:check_serving_runtime", _GRAPH, of_graph=True),
    PlannedCheck("size-budget", "files.whole:check_size_budget", _FILES),
    PlannedCheck("assets", "files.assets:check_assets", _GRAPH),
    # The serving graph, compared with the definition's training graph.
    PlannedCheck("graphs-compared", "graph.graphs_compared:check_graphs", _GRAPH, of_graph=True),
    # The server's behaviour.
    PlannedCheck("loads", "behaviour.loads:check_loads", _FILES),
    PlannedCheck("warm-up", "behaviour.loads:check_warm_up", _SERVED),
    PlannedCheck("repeatable", "behaviour.repeatable:check_repeatable", _SERVED),
    PlannedCheck("row-independence", "behaviour.row_independence:check_row_independence", _SERVED),
    PlannedCheck("request-edges", "behaviour.request_edges:check_request_edges", _SERVED),
    PlannedCheck("latency-budget", "behaviour.latency:check_latency", _SERVED, of_graph=True),
    # The server's answers, compared with the checkpoint's.
    PlannedCheck("golden-examples", "answers.parity:check_golden_examples", _SERVED),
    PlannedCheck("held-out-examples", "answers.parity:check_held_out_examples", _SERVED),
    # The server's answers, compared with sources other than the definition.
    PlannedCheck("reference-answers", "answers.outside:check_reference_answers", _SERVED),
    PlannedCheck("metric-thresholds", "answers.metrics:check_thresholds", _SERVED),
    PlannedCheck("live-metrics", "answers.metrics:check_live_metrics", _SERVED),
    PlannedCheck("live-answers", "answers.live_answers:check_live_answers", _SERVED),
    # After all other requests, because it finds what they changed.
    PlannedCheck("variables-unchanged", "behaviour.repeatable:check_variables_unchanged", _SERVED),
)

# More checks if the definition names a recording; they run before the last check of the plan.
PLAN_OF_RECORDINGS = (PlannedCheck("recorded-answers", "answers.recorded:check_recorded_answers", _SERVED),)
# The names that a waiver accepts.
EVERY_CHECK = tuple(planned.name for planned in (*PLAN, *PLAN_OF_RECORDINGS))


def demand_checks(names: Iterable[str]) -> None:
    """Demand that each name is the name of a check.

    Raises:
        InvalidRequest: There is no check of one of these names.
    """
    for name in names:
        if name not in EVERY_CHECK:
            raise InvalidRequest(
                f"waive: expected the name of a check, one of {', '.join(EVERY_CHECK)}, got {name!r:.100}."
                " Correct the name."
            )
