"""What can be done with a model or a version, and the run of a DAG that does it.

The web server changes nothing itself: a page's script asks Airflow's own API for a run, as the user
whose cookie the browser sends, so Airflow decides who may, and the run knows who it was.
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
from redraw.settings import Setting
from redraw_airflow.settings import MARK_DAG, PRUNE_DAG, PUBLISHING_DAGS, REEXPORT_DAG, ROLL_BACK_DAG

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One more thing to say before an action: a parameter of its DAG.

    Attributes:
        name: The parameter's name.
        label: What it is called.
        kind: What may be entered; of a `listed` one, which is ticked, the value joins those of its name.
        value: What it says until somebody changes it.
        least: The smallest number.
    """

    name: str
    label: str
    kind: Literal["integer", "number", "boolean", "listed"]
    value: int | str | None = None
    least: int = 0


@dataclass(frozen=True, kw_only=True)
class Action:
    """One button, and the run that it asks for.

    Attributes:
        name: Unique on a page.
        button: What the button says.
        effect: What will happen, in a sentence or two.
        dag: The DAG.
        task: The task of it whose record says what was done.
        conf: The run's parameters, apart from the reason and the fields.
        reasons: The parameters that take the reason; it is the run's note in any case.
        fields: What else is asked.
        grave: Whether it changes what servers load, or removes something.
        cleared: Of a run that is resumed instead of a new one: what Airflow is asked to clear.
        watched: Whether the page waits for the end of the run; otherwise it only leads to it.
        menu: Whether its button is in the menu at the end.
        main: Whether it is what most people come for.
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
    """What there is to do; the page asks who may do it.

    Args:
        model: The definition's name.
        version: The version that the page is about; None for the model's own page.
        pointer: The model's live pointer.
        release: The version's record, where the page has it.
        trains: Whether the definition can be trained.

    Returns:
        The actions, in the order of their buttons; none for a version that is pruned. Of several with one
        name, by different DAGs, the first that the user may do counts.
    """
    if version is None:
        found = [*(_training(model) if trains else ()), *_of_model(model, pointer)]
    else:
        gone = version in pointer.pruning or (release is not None and release.pruned is not None)
        found = [] if gone else [*_of_version(model, version, pointer, release)]
    return tuple(action for action in found if action.dag)


def configured_dag(setting: Setting[str]) -> str:
    """The DAG of an action; none if its setting has a wrong type, and the page goes without the button."""
    try:
        return setting.read()
    except InvalidSetting as err:
        _logger.warning("an action is not offered: %s", err)
        return ""


def _training(model: str) -> Iterator[Action]:
    # The model's own DAG, as `retrain_each` names it, before those that ask for the model.
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
            Field(name="apply", label="Remove them (otherwise they are only listed)", kind="boolean"),
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
        # By its number: somebody else may roll back meanwhile, and "the one before" be another one then.
        conf={"model": model, "version": previous},
        reasons=_reasons_for(previous, pointer),
        grave=True,
    )


def _making_live(model: str, version: int, pointer: LivePointer) -> Action:
    before = f"replaces {pointer.version}" if pointer.version is not None else "is the first live version"
    reasons = _reasons_for(version, pointer)
    older = " Its weights are older than those of the live version." if "allow_older" in reasons else ""
    if (rejected := pointer.rejected.get(str(version))) is not None:
        older += f" It was rejected: {rejected}."
    return Action(
        name="make-live",
        button="Make live",
        effect=f"Version {version} is loaded once as a test. Then it {before} on servers that follow the live"
        f" pointer.{older}",
        dag=configured_dag(ROLL_BACK_DAG),
        task="roll_back",
        conf={"model": model, "version": version},
        reasons=reasons,
        grave=True,
    )


def _reasons_for(version: int, pointer: LivePointer) -> tuple[str, ...]:
    """Older weights and rejected versions need reasons of their own; a form that says so asks for them."""
    older = pointer.version is not None and trained_before(version, pointer.version)
    needed = {"reason": True, "allow_older": older, "allow_rejected": str(version) in pointer.rejected}
    return tuple(name for name, asked in needed.items() if asked)


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
        # The catalogue may have this step of other trainings too.
        conf={
            "model": model,
            "steps": [step],
            "trained_from": trained,
            "trained_to": f"{day + timedelta(days=1):%Y-%m-%d}",
        },
    )
