"""Can clients of the live version go on asking as they do?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from redraw.records import Check, Signature, TensorSpec
from redraw.validate.outcome import conclude

if TYPE_CHECKING:
    from redraw.serving.graph.serving_graph import ServingGraph
    from redraw.validate.subject.subject import Subject

_Specs = Mapping[str, TensorSpec]


def check_live_signatures(subject: Subject) -> Check:
    """Compare the signatures with the live version's, as its clients depend on them: `live-signatures`.

    More is fine: another signature, another output, a wider input, a narrower output, an input
    with a default. Anything that an unchanged client would stumble over is breaking.
    """
    if subject.live is None:
        return _concluded("no live version", "nothing to compare with: no live version", [])
    release = subject.live.release
    breaks = list(_breaks(release.signatures, subject.served_signatures, subject.graph))
    against = f"the signatures of the live version {release.version}"
    if breaks and subject.allow_breaking:
        wanted = f"breaking, and wanted ({subject.allow_breaking}): {'; '.join(breaks)}"
        return _concluded(against, wanted, [])
    return _concluded(against, f"all that version {release.version} promises", breaks)


def _concluded(against: str, found: str, problems: list[str]) -> Check:
    return conclude(
        "live-signatures",
        looked_at=f"the signatures, and {against}",
        expected="every request that the live version takes, answered with what it answers",
        found=found,
        problems=problems,
        advice="Keep what clients use and add a signature next to it, or say why it has to break"
        " (--allow-breaking REASON).",
    )


def _breaks(
    live: Mapping[str, Signature], new: Mapping[str, Signature], graph: ServingGraph
) -> Iterator[str]:
    for name, promised in sorted(live.items()):
        if name not in new:
            yield f"signature {name!r} is gone"
            continue
        where = f"signature {name!r}, "
        optional = set(graph.signatures[name].defaults)
        yield from (where + text for text in _input_breaks(promised.inputs, new[name].inputs, optional))
        yield from (where + text for text in _output_breaks(promised.outputs, new[name].outputs))


def _input_breaks(live: _Specs, new: _Specs, optional: set[str]) -> Iterator[str]:
    for name, spec in sorted(live.items()):
        if name not in new:
            yield f"input {name!r} is gone or renamed"
        elif new[name].dtype != spec.dtype or not _covers(new[name], spec):
            yield f"input {name!r} took {spec}, and takes {new[name]}"
    for name in sorted(new.keys() - live.keys() - optional):
        yield f"input {name!r} is new, and no client sends it"


def _output_breaks(live: _Specs, new: _Specs) -> Iterator[str]:
    for name, spec in sorted(live.items()):
        if name not in new:
            yield f"output {name!r} is gone or renamed"
        elif new[name].dtype != spec.dtype or not _covers(spec, new[name]):
            yield f"output {name!r} was {spec}, and is {new[name]}"


def _covers(wide: TensorSpec, narrow: TensorSpec) -> bool:
    """Whether every shape of one is one of the other's."""
    return len(wide.shape) == len(narrow.shape) and all(
        size is None or size == other for size, other in zip(wide.shape, narrow.shape, strict=True)
    )
