"""Put the whole corpus to the proof: `python -m tests.defects FOLDER`, findings as JSON on stdout."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.defects.corpus import DEFECTS
from tests.defects.examining import Finding
from tests.defects.good_exports import GOOD_EXPORTS
from tests.defects.proving import open_proving_ground

__all__ = ["main"]


def main() -> None:
    """Examine every planted defect and every good export."""
    (folder,) = sys.argv[1:]
    with open_proving_ground(Path(folder)) as ground:
        findings = {
            "planted": {defect.name: _caught(ground.plant(defect), defect.caught_by) for defect in DEFECTS},
            "good": {good.name: asdict(ground.examine(good)) for good in GOOD_EXPORTS},
        }
    sys.stdout.write(json.dumps(findings) + "\n")


def _caught(finding: Finding, check: str) -> dict[str, object]:
    return {**asdict(finding), "caught_by": check}


if __name__ == "__main__":
    main()
