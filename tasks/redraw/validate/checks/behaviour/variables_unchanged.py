"""Does asking the model change it? Statistics that a layer updates must stay as they were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.validate.checks.behaviour.declared import declared_variables
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.validate.subject.subject import Subject


def check_variables_unchanged(subject: Subject) -> Check:
    """Compare every variable with what it was when it was loaded: the check `variables-unchanged`."""
    before, problems, admitted = subject.variables_at_load, list[str](), list[str]()
    after = before
    try:
        after = subject.served.digest_variables()
    except ServingFailure as err:
        problems = [f"the variables cannot be read: {err}"]
    declared = declared_variables(subject)
    for name in sorted(before):
        if after.get(name) != before[name]:
            changed = f"variable {name!r} changed from {before[name]} to {after.get(name)} (CRC-32C)"
            (admitted if name in declared else problems).append(changed)
    return conclude(
        "variables-unchanged",
        looked_at=f"the values of {len(before)} variables when loaded, and after all requests",
        expected="the same values",
        found="; ".join((*admitted, "as stateful_ops declares")) if admitted else "the same values",
        problems=problems,
        advice="Draw the network for Mode.SERVE with training=False, so that nothing assigns to its"
        " variables; if it has to keep state, name the operation in stateful_ops.",
    )
