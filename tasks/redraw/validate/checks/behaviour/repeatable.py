"""Does the same request get the same answer, and do requests leave the variables unchanged?"""

from __future__ import annotations

from collections.abc import Mapping

from redraw.inspect.answers.comparing import difference
from redraw.records import Check
from redraw.serving.errors import ServingFailure
from redraw.serving.requests import Request, take_rows
from redraw.validate.outcome import conclude
from redraw.validate.subject.subject import Subject

_TIMES = 2


def check_repeatable(subject: Subject) -> Check:
    """Ask the golden examples again, and once more after other requests: the check `repeatable`."""
    requests, declared = subject.golden_requests, declared_kinds(subject)
    problems, admitted = list[str](), list[str]()
    for turn in range(1, _TIMES + 1):
        for name, request in requests.items():
            differences = [f"on request {turn + 1}, {problem}" for problem in _ask(subject, name, request)]
            if differences and declared.get(name):
                admitted.append(
                    f"the answers of {name!r} vary, as stateful_ops allows ({', '.join(declared[name])})"
                )
            elif differences:
                problems += differences
    return conclude(
        "repeatable",
        looked_at=f"the answers of {', '.join(requests)} to the same requests, {_TIMES + 1} times each",
        expected="the same answer each time",
        found="; ".join(dict.fromkeys(admitted)) or "the same answer each time",
        problems=problems,
        advice="Build the network for Mode.SERVE without dropout and other random operations. If the model"
        " samples on purpose, list the types of its random operations in stateful_ops.",
    )


def _ask(subject: Subject, name: str, request: Request) -> list[str]:
    """The differences from the first answer, after a request of another size."""
    try:
        subject.served.answer(name, take_rows(request, [0]))
        answer = subject.served.answer(name, request)
    except ServingFailure as err:
        return [f"signature {name!r}: {err}"]
    differences = (
        (o, difference(first, answer[o], 0.0)) for o, first in subject.golden_answers[name].items()
    )
    return [f"signature {name!r}, output {output!r}: {what}" for output, what in differences if what]


def check_variables_unchanged(subject: Subject) -> Check:
    """Compare every variable with its value at loading: the check `variables-unchanged`."""
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
        advice="Build the network for Mode.SERVE with training=False, so that nothing assigns to its"
        " variables. If the model must keep state, list the type of the operation in stateful_ops.",
    )


def declared_kinds(subject: Subject) -> Mapping[str, tuple[str, ...]]:
    """Signature name to the `stateful_ops` of the definition that the signature reaches."""
    declared = set(subject.definition.stateful_ops)
    if not declared:
        return {}
    return {
        name: tuple(sorted(declared & {node.op for node in subgraph.nodes.values()}))
        for name, subgraph in subject.graph.answering.items()
    }


def declared_variables(subject: Subject) -> set[str]:
    """The variables that declared operations read and may change, such as a generator's state."""
    declared, names = set(subject.definition.stateful_ops), set[str]()
    for subgraph in subject.graph.answering.values() if declared else ():
        for place, node in subgraph.nodes.items():
            if node.op in declared:
                for tensor in node.input:
                    names |= {origin.name for origin in subject.graph.origins(subgraph, place, tensor)}
    return names
