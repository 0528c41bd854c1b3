"""Which answers change compared with the live version?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from redraw.definition import ModelDefinition
from redraw.inspect.answers.comparison import ComparisonTally, common_signatures
from redraw.inspect.answers.pair import AnsweredBatch
from redraw.inspect.answers.sources import GOLDEN, HELD_OUT, batches_of_examples
from redraw.names import ModelName
from redraw.records import Check, Signature
from redraw.records.results import AnswerComparison, OutputDifference
from redraw.records.results.comparison import ANSWERS_NAME
from redraw.serving.errors import ServingFailure
from redraw.validate.checks.behaviour.repeatable import declared_kinds
from redraw.validate.outcome import CannotRun, conclude
from redraw.validate.subject.subject import LiveVersion, Subject

_NAME = "live-answers"
_NONE = "there is no live version to compare with"
# Examples are asked in one batch, as in the other checks.
_MOST_ROWS = 1 << 20


def check_live_answers(subject: Subject) -> Check:
    """Compare answers with the live version's, to golden and held-out examples: the check `live-answers`."""
    live = subject.live
    if live is None:
        raise _no_live_version()
    definition, names = subject.definition, ("this export", f"live version {live.release.version}")
    common, notes = common_signatures(subject.exported.signatures, live.release.signatures, names)
    for name in [name for name in common if declared_kinds(subject).get(name)]:
        notes.append(f"signature {name!r} is not compared: its answers vary from request to request")
        del common[name]
    try:
        comparison = _compare(subject, live, common, notes)
    except ServingFailure as err:
        raise CannotRun(
            f"{names[1]} does not answer the same requests: {err}",
            f"Compare the answers by hand, then waive the check: --waive {_NAME}=REASON.",
        ) from err
    subject.attachments[ANSWERS_NAME] = comparison.to_bytes().decode()
    rows = ", ".join(f"{source.rows} {source.name} rows" for source in comparison.sources) or "no rows"
    return conclude(
        _NAME,
        looked_at=f"the answers of this export and of {names[1]} to {rows}",
        expected=_limits(definition) or "no limits declared (max_changed)",
        found="; ".join([*map(_describe, comparison.outputs), *comparison.left_out])
        or "no examples to compare",
        problems=_exceeded(definition, comparison),
        advice="Look at the rows that differ most in the report. If the change is intended, raise max_changed"
        f" in the definition, or waive the check: --waive {_NAME}=REASON.",
    )


def _compare(
    subject: Subject, live: LiveVersion, common: Mapping[str, Signature], notes: list[str]
) -> AnswerComparison:
    served = subject.live_served
    if served is None:
        raise _no_live_version()
    tally = ComparisonTally(subject.definition.change_tolerance)
    examples = {GOLDEN: subject.resources.own_examples, HELD_OUT: subject.held_out_examples}
    answers = {GOLDEN: subject.golden_answers, HELD_OUT: subject.held_out_answers}
    for source, named_examples in examples.items():
        for batch in batches_of_examples(source, named_examples, common, lambda: _MOST_ROWS):
            other = served.answer(batch.signature, batch.inputs)
            tally.add(AnsweredBatch(batch, answers[source][batch.signature], other))
    return tally.result(ModelName(subject.exported.model), (None, live.release.version), None, notes)


def _no_live_version() -> CannotRun:
    return CannotRun(
        _NONE, "To compare with the live version of a bucket, add --against gs://BUCKET.", excused=_NONE
    )


def _limits(definition: ModelDefinition) -> str:
    limits = definition.max_changed.items()
    return ", ".join(f"at most {_percent(most)} of the rows changed in {name}" for name, most in limits)


def _describe(output: OutputDifference) -> str:
    by = "" if output.largest is None else f", by {output.largest:.3g} at most"
    return f"{output.output} of {output.signature!r}: {output.changed} of {output.rows} rows changed{by}"


def _exceeded(definition: ModelDefinition, comparison: AnswerComparison) -> Iterator[str]:
    for output in comparison.outputs:
        most = definition.max_changed.get(output.output)
        if most is not None and output.share > most:
            yield f"{_describe(output)}: {_percent(output.share)}, more than {_percent(most)}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
