"""The actions on a model or a version, and the DAG run that does each.

The web server changes nothing itself. A page's script starts a run through Airflow's API with the user's
cookie, so Airflow checks the user's rights, and the run records the user.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from redraw.errors import InvalidSetting
from redraw.publish.bucket.layout import trained_before
from redraw.records import LivePointer, Release
from redraw.setting_kinds import Setting
from redraw_airflow.settings import MARK_DAG, PRUNE_DAG, PUBLISHING_DAGS, REEXPORT_DAG, ROLL_BACK_DAG

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of an action's dialog: a parameter of its DAG.

    Attributes:
        name: The parameter's name.
        label: The field's label.
        kind: The type of its value. A `listed` field is a checkbox that adds its value to a list.
        value: The initial value.
        least: The smallest number.
    """

    name: str
    label: str
    kind: Literal["integer", "number", "boolean", "listed"]
    value: int | str | None = None
    least: int = 0


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button, and the run that it starts.

    Attributes:
        name: The action's name, unique on a page.
        button: The button's label.
        effect: What will happen, in a sentence or two.
        dag: The DAG.
        task: The DAG's task whose record says what was done.
        conf: The run's parameters, except the reason and the fields.
        reasons: The parameters that take the reason, which is always the run's note, too.
        fields: Other fields of the dialog.
        grave: Whether it changes the version that servers load, or removes something.
        cleared: If it resumes a run instead of starting one: the request to Airflow to clear tasks.
        watched: Whether the page waits for the end of the run; otherwise it only links to the run.
        menu: Whether its button is in the menu at the end.
        main: Whether it is the main action of the page.
    """

    name: str
    button: str
    effect: str
    dag: str
    task: str
    conf: Mapping[str, Any]
    reasons: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    grave: bool = False
    cleared: Mapping[str, Any] | None = None
    watched: bool = True
    menu: bool = False
    main: bool = False


def possible_actions(
    model: str,
    version: int | None,
    pointer: LivePointer,
    release: Release | None = None,
    *,
    trains: bool = True,
) -> tuple[Action, ...]:
    """The actions of a page; the page checks the user's rights.

    Args:
        model: The definition's name.
        version: The version of the page; None for the model's own page.
        pointer: The model's live pointer.
        release: The version's record, if the page has it.
        trains: Whether the definition can be trained.

    Returns:
        The actions, in the order of their buttons; none for a pruned version. If several DAGs offer an action
        of the same name, the page takes the first that the user may start.
    """
    if version is None:
        actions = [*(_training(model) if trains else ()), *_of_model(model, pointer)]
    else:
        is_pruned = version in pointer.pruning or (release is not None and release.pruned is not None)
        actions = [] if is_pruned else [*_of_version(model, version, pointer, release)]
    return tuple(action for action in actions if action.dag)


def configured_dag(setting: Setting[str]) -> str:
    """The DAG of an action; empty if its setting is malformed, so that the page has no such button."""
    try:
        return setting.read()
    except InvalidSetting as err:
        _logger.warning("an action is not offered: %s", err)
        return ""


def _training(model: str) -> Iterator[Action]:
    # First the model's own DAG, by the name that `retrain_each` uses, then those whose form names the model.
    for dag in (f"retrain_{model}", *PUBLISHING_DAGS.read()):
        yield Action(
            name="train",
            button="Train",
            effect="Trains, exports, validates and publishes the model, with the defaults of the DAG's form.",
            dag=dag,
            task="push",
            conf={"model": model},
            fields=(
                Field(name="steps", label="Steps (empty: as the definition says)", kind="integer", least=1),
            ),
            watched=False,
            main=True,
        )


def _of_model(model: str, pointer: LivePointer) -> Iterator[Action]:
    yield from _rolling_back(model, pointer)
    yield Action(
        name="prune",
        button="Prune",
        effect="Lists the old versions that would be removed, or removes their files permanently. The live"
        " version, the one before it, and labelled or pinned versions always stay.",
        dag=configured_dag(PRUNE_DAG),
        task="prune",
        conf={"model": model},
        fields=(
            Field(name="keep", label="Versions to keep, the newest weights first", kind="integer", value=10),
            Field(name="keep_days", label="Days to keep a version after it was published", kind="number"),
            Field(name="apply", label="Remove the versions (otherwise they are only listed)", kind="boolean"),
        ),
        grave=True,
        menu=True,
    )


def _of_version(model: str, version: int, pointer: LivePointer, release: Release | None) -> Iterator[Action]:
    if version == pointer.version:
        yield from _rolling_back(model, pointer)
    else:
        yield _making_live(model, version, pointer)
        if pointer.version is not None:
            yield _canary(model, version, pointer)
    pinned = str(version) in pointer.pinned
    yield _marking(
        model,
        version,
        "unpin" if pinned else "pin",
        "Unpin" if pinned else "Pin",
        f"Version {version} may be pruned again." if pinned else f"Version {version} is never pruned.",
    )
    if release is not None:
        yield _exporting_again(model, version, release)


def _rolling_back(model: str, pointer: LivePointer) -> Iterator[Action]:
    previous = pointer.previous
    if previous is None or previous in pointer.pruning or str(previous) in pointer.rejected:
        return
    yield Action(
        name="roll-back",
        button="Roll back",
        effect=f"Servers that follow the live pointer go back from {pointer.version} to {previous}, which was"
        f" live before. Nothing is deleted. To undo it, make {pointer.version} live again.",
        dag=configured_dag(ROLL_BACK_DAG),
        task="roll_back",
        # By number, because somebody else may roll back meanwhile.
        conf={"model": model, "version": previous},
        reasons=_reasons_for(previous, pointer),
        grave=True,
    )


def _making_live(model: str, version: int, pointer: LivePointer) -> Action:
    before = f"replaces {pointer.version}" if pointer.version is not None else "is the first live version"
    reasons = _reasons_for(version, pointer)
    notes = " Its weights are older than those of the live version." if "allow_older" in reasons else ""
    if (rejected := pointer.rejected.get(str(version))) is not None:
        notes += f" It was rejected: {rejected}."
    return Action(
        name="make-live",
        button="Make live",
        effect=f"Version {version} is loaded once as a test. Then it {before} on servers that follow the live"
        f" pointer.{notes}",
        dag=configured_dag(ROLL_BACK_DAG),
        task="roll_back",
        conf={"model": model, "version": version},
        reasons=reasons,
        grave=True,
    )


def _reasons_for(version: int, pointer: LivePointer) -> tuple[str, ...]:
    """The parameters that need a reason: older weights and rejected versions have their own."""
    older = pointer.version is not None and trained_before(version, pointer.version)
    needs = {"reason": True, "allow_older": older, "allow_rejected": str(version) in pointer.rejected}
    return tuple(name for name, is_needed in needs.items() if is_needed)


def _canary(model: str, version: int, pointer: LivePointer) -> Action:
    if pointer.labels.get("canary") == version:
        effect = f"Version {version} is no longer the canary. The label canary then names no version."
        return _marking(model, version, "uncanary", "No longer canary", effect)
    effect = (
        f"Servers load version {version} next to the live version, for clients that ask for the label canary."
    )
    return _marking(model, version, "canary", "Make canary", effect)


def _marking(model: str, version: int, mark: str, button: str, effect: str) -> Action:
    return Action(
        name=mark,
        button=button,
        effect=effect,
        dag=configured_dag(MARK_DAG),
        task="mark",
        conf={"model": model, "version": version, "mark": mark},
        reasons=("reason",),
    )


def _exporting_again(model: str, version: int, release: Release) -> Action:
    step, trained = release.checkpoint.step, release.checkpoint.trained_at[:10]
    day = datetime.strptime(trained, "%Y-%m-%d")
    return Action(
        name="export-again",
        button="Export again",
        effect=f"The checkpoint of step {step} is exported again with today's definition, and published as a"
        f" new revision if the result differs from {version}. The live version stays.",
        dag=configured_dag(REEXPORT_DAG),
        task="summary",
        # The day selects the training: others in the catalogue may have the same step.
        conf={
            "model": model,
            "steps": [step],
            "trained_from": trained,
            "trained_to": f"{day + timedelta(days=1):%Y-%m-%d}",
        },
    )
