"""What a reference is asked: the definition's own examples, or requests made of its signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from redraw.definition import RecordedDefinition
from redraw.serving.requests import Request, cast_request, generate_request

if TYPE_CHECKING:
    from redraw.definition import ModelDefinition
    from redraw.validate.subject.subject import Subject

_GENERATED = 200


def reference_requests(subject: Subject, signatures: Iterable[str]) -> Iterator[tuple[str, str, Request]]:
    """The requests of some signatures.

    Yields:
        What the rows are called, the signature, and the request: the held-out and the golden examples;
        for a signature that has neither, generated ones.
    """
    definition = subject.definition
    for name in sorted(signatures):
        specs = definition.signatures[name].inputs
        own = [
            (called, cast_request(examples[name].inputs, specs))
            for called, examples in (
                ("held-out", subject.held_out_examples),
                ("golden", subject.standard.own_examples),
            )
            if name in examples and not (called == "golden" and _made_up(definition))
        ]
        yield from ((called, name, request) for called, request in own or [_generated(definition, name)])


def _generated(definition: ModelDefinition, name: str) -> tuple[str, Request]:
    specs = definition.signatures[name].inputs
    if not isinstance(definition, RecordedDefinition):
        return "generated", generate_request(specs, _GENERATED)
    return "generated", cast_request(definition.generate_examples(_GENERATED)[name].inputs, specs)


def _made_up(definition: ModelDefinition) -> bool:
    """Whether its golden examples are a few generated ones."""
    return type(definition).golden_examples is RecordedDefinition.golden_examples
