"""The differences between two versions' signatures, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from redraw.records.signature import Signature, TensorSpec

Side = Literal["input", "output"]


@dataclass(frozen=True, kw_only=True)
class SignatureRow:
    """One tensor of one signature.

    Attributes:
        signature: The signature's name.
        side: Whether it is an input or an output.
        name: The tensor's name.
        here: Its dtype and shape in the version of the page; None if that version lacks it.
        there: Its dtype and shape in the other version.
    """

    signature: str
    side: Side
    name: str
    here: TensorSpec | None
    there: TensorSpec | None

    @property
    def change(self) -> str:
        """`added`, `removed`, `changed` or `same`, from the other version to this one."""
        if self.here == self.there:
            return "same"
        return "added" if self.there is None else "removed" if self.here is None else "changed"

    @property
    def description(self) -> str:
        """What has changed, in a word or two."""
        if self.change != "changed" or self.here is None or self.there is None:
            return self.change
        dtype, shape = self.here.dtype != self.there.dtype, self.here.shape != self.there.shape
        return "dtype and shape" if dtype and shape else "dtype" if dtype else "shape"


def compare_signatures(
    here: Mapping[str, Signature], there: Mapping[str, Signature]
) -> tuple[SignatureRow, ...]:
    """Compare two versions' signatures.

    Args:
        here: The signatures of the version of the page.
        there: The signatures of the other version.

    Returns:
        All tensors of either version, by signature, inputs first.
    """
    return tuple(
        row
        for name in sorted(here.keys() | there.keys())
        for side in ("input", "output")
        for row in _rows(name, side, _tensors(here, name, side), _tensors(there, name, side))
    )


def _tensors(signatures: Mapping[str, Signature], name: str, side: Side) -> Mapping[str, TensorSpec]:
    if name not in signatures:
        return {}
    return signatures[name].inputs if side == "input" else signatures[name].outputs


def _rows(
    signature: str, side: Side, here: Mapping[str, TensorSpec], there: Mapping[str, TensorSpec]
) -> Iterator[SignatureRow]:
    for name in sorted(here.keys() | there.keys()):
        yield SignatureRow(
            signature=signature, side=side, name=name, here=here.get(name), there=there.get(name)
        )
