"""Put the whole corpus to the proof: `python -m tests.defects FOLDER`, findings as JSON on stdout.

Each finding is a line on stderr, and in the file `--findings`, as soon as it is made. A run that was stopped
skips what that file has, unless code has changed since. `--part 2/4` examines every fourth case.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.defects.corpus import DEFECTS
from tests.defects.examining import Finding
from tests.defects.good_exports import GOOD_EXPORTS
from tests.defects.proving import ProvingGround, open_proving_ground
from tests.paths import ROOT

__all__ = ["main"]

_CODE = ("tasks/redraw", "tests/defects", "tests/sample_models")


@dataclass(frozen=True, kw_only=True)
class _Case:
    """One defect or good export.

    Attributes:
        kind: `planted` or `good`.
        name: Its name in the corpus.
        caught_by: The check that is meant to fail; empty of good exports.
        examine: Makes and examines it.
    """

    kind: str
    name: str
    caught_by: str = ""
    examine: Callable[[ProvingGround], Finding]

    def verdict(self, finding: dict[str, Any]) -> str:
        """What the finding means, in a few words."""
        if finding["error"]:
            return f"error: {finding['error'].splitlines()[-1]}"
        if self.caught_by:
            status = finding["statuses"].get(self.caught_by)
            return "caught" if status == "failed" else f"missed by {self.caught_by} ({status})"
        return f"false alarm: {', '.join(finding['found'])}" if finding["found"] else "passed"


def main() -> None:
    """Examine every planted defect and every good export, or a part of them."""
    arguments = _arguments()
    part, parts = map(int, arguments.part.split("/"))
    cases = [case for case in _cases() if re.search(arguments.only, case.name)][part - 1 :: parts]
    known = _known(arguments.findings)
    if any((case.kind, case.name) not in known for case in cases):
        arguments.folder.mkdir(parents=True, exist_ok=True)
        with open_proving_ground(arguments.folder) as ground, arguments.findings.open("a") as file:
            for number, case in enumerate(cases, 1):
                if (case.kind, case.name) in known:
                    continue
                finding = {**asdict(case.examine(ground)), "caught_by": case.caught_by}
                known[case.kind, case.name] = finding
                file.write(json.dumps([case.kind, case.name, finding], allow_nan=False) + "\n")
                file.flush()
                line = f"{number}/{len(cases)} {case.kind} {case.name}: {case.verdict(finding)}"
                print(f"{line} ({finding['seconds']:.0f} s)", file=sys.stderr, flush=True)
    found: dict[str, Any] = {"planted": {}, "good": {}}
    for case in cases:
        found[case.kind][case.name] = known[case.kind, case.name]
    sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.defects", description=__doc__)
    parser.add_argument("folder", type=Path, help="for all that is made")
    parser.add_argument("--findings", type=Path, help="FOLDER/findings.jsonl by default")
    parser.add_argument("--part", default="1/1", help="such as 2/4")
    parser.add_argument("--only", default="", help="a regular expression of names")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    arguments.findings = arguments.findings or arguments.folder / "findings.jsonl"
    return arguments


def _cases() -> Iterator[_Case]:
    for defect in DEFECTS:
        yield _Case(
            kind="planted",
            name=defect.name,
            caught_by=defect.caught_by,
            examine=lambda ground, defect=defect: ground.plant(defect),
        )
    for good in GOOD_EXPORTS:
        yield _Case(kind="good", name=good.name, examine=lambda ground, good=good: ground.examine(good))


def _known(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The findings of a file that belong to this code; otherwise the file is begun again."""
    digest = _digest()
    lines = path.read_text().splitlines() if path.is_file() else []
    if lines[:1] != [digest]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{digest}\n")
        return {}
    return {(kind, name): finding for kind, name, finding in map(json.loads, lines[1:])}


def _digest() -> str:
    code = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            code.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return code.hexdigest()


if __name__ == "__main__":
    main()
