"""Is each served weight finite, identical to the checkpoint's, and averaged or raw as the record says?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from redraw.checkpoint.bundle.reader import TensorBundle
from redraw.checkpoint.formats.source import CheckpointSource
from redraw.checkpoint.objects.averages import find_averages
from redraw.checkpoint.objects.object_graph import object_at, variables_from
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY
from redraw.records import Check
from redraw.validate.outcome import conclude
from redraw.validate.subject.export_bytes import Reading
from redraw.validate.subject.subject import Subject

# The export's prefix for constants of the definition, which no checkpoint has.
_CONSTANTS = "constants/"
_Row = Mapping[str, Any]


def check_weights_source(subject: Subject) -> Check:
    """Compare every served weight with the checkpoint's, and its kind with the claim: `weights-source`.

    Raises:
        CannotRun: The checkpoint or the ledger is missing.
    """
    rows: list[_Row] = subject.ledger["served"]
    source, reading, claimed = subject.source, subject.reading, subject.exported.weights
    problems = [
        *_bytes_problems(rows, subject.bundle, source, reading),
        *_unexplained(rows, subject.bundle),
        *_misplaced(rows, subject.graph.restored),
        *_kind_problems(rows, source, claimed, subject.definition.checkpoint_roots.get("average")),
    ]
    return conclude(
        "weights-source",
        looked_at=f"{len(rows)} served variables, {sum(reading.compared.values())} bytes of them, compared"
        f" with {source.uri}",
        expected=f"{claimed} weights, each bitwise equal to the checkpoint's tensor that the restore ledger"
        " names",
        found=f"{len(reading.compared)} variables, each the same in every bit;"
        f" {_kinds(rows, source, claimed)}{_raw_among_averages(subject)}",
        problems=problems,
        advice="Export this checkpoint again, or validate with the checkpoint that was exported.",
    )


def _bytes_problems(
    rows: list[_Row], bundle: TensorBundle, source: CheckpointSource, reading: Reading
) -> Iterator[str]:
    for row in rows:
        variable, key, saved_as = row["variable"], row["key"], row["saved_as"]
        served, stored = bundle.entries.get(saved_as), source.entries.get(key)
        if served is None or stored is None:
            where = (
                f"the export has no tensor {saved_as!r}" if served is None else f"{source.uri} has no {key!r}"
            )
            yield f"variable {variable!r}: {where}"
        elif (served.dtype, served.shape) != (stored.dtype, stored.shape):
            yield (
                f"variable {variable!r} is {served.dtype} {list(served.shape)}, the checkpoint's {key!r}"
                f" {stored.dtype} {list(stored.shape)}"
            )
        elif saved_as in reading.unlike:
            yield f"variable {variable!r} differs from the checkpoint's {key!r}: {reading.unlike[saved_as]}"
        elif saved_as not in reading.compared:
            yield f"variable {variable!r} could not be compared: its bytes are missing or damaged"


def _unexplained(rows: list[_Row], bundle: TensorBundle) -> Iterator[str]:
    explained = {row["saved_as"] for row in rows} | {OBJECT_GRAPH_KEY}
    for key in bundle.entries:
        if key not in explained and not key.startswith(_CONSTANTS):
            yield f"tensor {key!r} is not in the restore ledger"


def _misplaced(rows: list[_Row], restored: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Values that the graph restores into another variable; a `tf.Module`'s variables have no names here."""
    named = {variable for variables in restored.values() for variable in variables}
    for row in rows:
        into = restored.get(row["saved_as"], ())
        if row["variable"] in named and row["variable"] not in into:
            yield (
                f"variable {row['variable']!r}: its value {row['saved_as']!r} is restored into"
                f" {', '.join(map(repr, into)) or 'none'}"
            )


def _kind_problems(
    rows: list[_Row], source: CheckpointSource, claimed: str, root: str | None
) -> Iterator[str]:
    shadow, averages = _averaged_keys(source, root), find_averages(source.entries, source.graph)
    keys = {row["variable"]: row["key"] for row in rows}
    if claimed == "raw":
        for variable, key in keys.items():
            if key in shadow:
                yield (
                    f"variable {variable!r}: the record says raw, but the value comes from the moving"
                    f" average {key!r}"
                )
        return
    if not shadow & set(keys.values()):
        yield f"the record says average, but no variable comes from a moving average of {source.uri}"
    # A shadow model has averages of all variables; other averages exist only for trained ones.
    all_averaged = bool(shadow & set(keys.values()) - set(averages.values()))
    for variable, key in keys.items():
        if key not in shadow and (all_averaged or key in averages):
            yield (
                f"variable {variable!r}: the record says average, but the value comes from the raw weight"
                f" {key!r}" + (f" next to {averages[key]!r}" if key in averages else "")
            )


def _raw_among_averages(subject: Subject) -> str:
    raw = subject.ledger.get("without_average", ())
    return f"; served raw, because the checkpoint has no average of them: {', '.join(raw)}" if raw else ""


def _averaged_keys(source: CheckpointSource, root: str | None) -> set[str]:
    roles = classify_tensors(source.entries, source.graph)
    keys = {key for key, role in roles.items() if role is Role.MOVING_AVERAGE}
    number = object_at(source.graph, root) if source.graph is not None and root else None
    if source.graph is not None and number is not None:
        keys |= {tensor.key for _, tensor in variables_from(source.graph, number)}
    return keys


def _kinds(rows: list[_Row], source: CheckpointSource, claimed: str) -> str:
    if claimed == "raw":
        return "all raw"
    averages = set(find_averages(source.entries, source.graph).values())
    raw = sum(row["key"] not in averages for row in rows)
    return (
        f"{len(rows) - raw} moving averages, {raw} weights without an average" if averages else "all averaged"
    )


def check_finite_weights(subject: Subject) -> Check:
    """Demand finite weights, unless the export was allowed to have others: `finite-weights`.

    Raises:
        CannotRun: Some are not finite, and the ledger that may allow them is missing.
    """
    non_finite = {key: count for key, count in subject.reading.non_finite.items() if count}
    allowed: dict[str, int] = {}
    if non_finite:
        rows = {row["saved_as"]: row["variable"] for row in subject.ledger["served"]}
        noted = {row["variable"]: row["count"] for row in subject.ledger["non_finite"]}
        allowed = {
            key: count
            for key, count in non_finite.items()
            if noted.get(rows.get(key, key.partition("/.ATTRIBUTES/")[0])) == count
        }
    listed = ", ".join(f"{count} in {key!r}" for key, count in allowed.items())
    return conclude(
        "finite-weights",
        looked_at=f"the values of {len(subject.bundle.entries)} tensors",
        expected="only finite numbers, or those that --allow-non-finite allowed at export",
        found=f"NaN or infinity, as allowed at export: {listed}" if allowed else "only finite numbers",
        problems=[
            f"{count} elements of {key!r} are NaN or infinite"
            for key, count in non_finite.items()
            if key not in allowed
        ],
        advice="Export an earlier checkpoint, or export again with --allow-non-finite.",
    )
