"""Try hostile inputs in a process with limits: what came of each, how long it took, what it left."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType

from redraw.errors import RedrawError
from tests.hostile.case import FINE, Case

__all__ = ["SECONDS", "limit_memory", "limited_time", "run_all"]

# The inputs are of a few kB, or declare how large they are.
MEMORY = 512 << 20
# Of the processor; what waits takes none, and ends by the clock.
SECONDS, _LONGEST = 10.0, 60.0


def run_all(modules: list[str], root: str, results: str) -> int:
    """Run the cases of some modules, and write what came of each to a file, as JSON by its name."""
    outside = Path(root, "outside")
    outside.mkdir()
    (outside / "secret").write_text("nobody may read or replace this")
    os.environ["REDRAW_SCRATCH"] = str(Path(root, "scratch"))
    limit_memory()
    found = {}
    for module in modules:
        for case in import_module(module).CASES:
            folder = Path(root, "cases", str(len(found)))
            folder.mkdir(parents=True)
            found[f"{module}::{case.name}"] = {**_outcome(case, folder), "left": _left(root, folder)}
    Path(results).write_text(json.dumps(found))
    return 0


def limit_memory() -> None:
    """Let this process take `MEMORY` more bytes than it has, and fail beyond."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + MEMORY, hard))


def _outcome(case: Case, folder: Path) -> dict[str, object]:
    begun, error, message = time.process_time(), FINE, ""
    os.chdir(folder)
    try:
        with limited_time():
            case.act(folder)
    except RedrawError as err:
        error, message = type(err).__name__, str(err)
    except BaseException:
        error, message = "a traceback", traceback.format_exc()
    return {"error": error, "message": message, "seconds": time.process_time() - begun}


@contextmanager
def limited_time(seconds: float = _LONGEST) -> Iterator[None]:
    """End what takes longer, by an error."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _left(root: str, folder: Path) -> list[str]:
    """What is outside of the case's folder and should not be; a stage's scratch is gone with it."""
    secret = Path(root, "outside", "secret").read_text()
    found = [str(path.relative_to(root)) for path in Path(root, "outside").iterdir() if path.name != "secret"]
    found += [path.name for path in Path(root).iterdir() if path.name not in {"outside", "cases", "scratch"}]
    found += [path.name for path in folder.parent.iterdir() if not path.name.isdigit()]
    return found + ([] if secret.startswith("nobody") else ["outside/secret"])
