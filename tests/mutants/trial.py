"""A copy of the checkout that slips are made in, and the tests that should catch them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from tests.forks import ForkServer
from tests.mutants.slips import Slip, apply_slip
from tests.paths import ROOT

__all__ = ["Outcome", "Trial", "copy_checkout", "nearest_tests"]

# How long one test may take, without what it starts before: a slip may make an endless loop of it.
_TEST_SECONDS = 120
# What each side's test processes have imported when they start: nothing of Redraw, and no Airflow, which
# reads its settings at that moment.
_SHARED = ("pytest", "numpy", "google.cloud.storage")
_IMPORTED = {
    "redraw": (*_SHARED, "tensorflow", "keras"),
    "redraw_airflow": (*_SHARED, "sqlalchemy", "pydantic"),
}
# Tests mirror the layout, but for these: the recordings that they need are made for the tests of others.
_ELSEWHERE = {"redraw/validate/subject/recording": "redraw/recorded"}
# And what only other tests ask: roles are found for drafts, SavedModels redrawn to heal them, and weights
# mapped from the files of other frameworks.
_ALSO = {"redraw/recorded": ("redraw/draft", "redraw/heal"), "redraw/export": ("foreign",)}
_SOURCE_ROOTS = ("tasks", "plugins")
_SLOW = re.compile(r"\b(?:airflow_api|chromium)\b")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one slip.

    Attributes:
        verdict: `unsound` is a test that fails without the slip too.
        by: The test that failed, if one did.
    """

    verdict: Literal["caught", "survived", "out of time", "unsound"]
    by: str = ""


@contextmanager
def copy_checkout(root: Path) -> Iterator[Path]:
    """A folder with all that git knows or would add, gone with the block; the checkout stays as it is."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=root, check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "copy"
        for name in filter(None, names):
            if (root / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, copy / name)
        (copy / ".venv").symlink_to(root / ".venv")
        (copy.parent / "tmp").mkdir()
        yield copy


@dataclass(kw_only=True)
class Trial:
    """Runs tests in a copy.

    Attributes:
        copy: The copy.
        seconds: How long the tests of one slip may take in all.
        imported: What the tests of `redraw` and of `redraw_airflow` have imported when they start.
    """

    copy: Path
    seconds: float
    imported: Mapping[str, Sequence[str]] = field(default_factory=lambda: _IMPORTED)
    _codes: dict[str, int | None] = field(default_factory=dict)
    _servers: dict[str, ForkServer] = field(default_factory=dict)

    def try_slip(self, slip: Slip) -> Outcome:
        """Make the slip, run the tests nearest to it until one fails, and take the slip back."""
        path = self.copy / slip.module
        source = path.read_text()
        changed = apply_slip(source, slip)
        if changed is None:
            raise ValueError(f"{slip}: expected a change, got none. Sample again from this code.")
        self._write(path, changed)
        try:
            tests = nearest_tests(self.copy, slip.module)
            code, output = self._pytest(tests)
        finally:
            self._write(path, source)
        if code is None:
            return Outcome(verdict="out of time")
        if code == 0:
            return Outcome(verdict="survived")
        failed = _FAILED.search(output)
        test = failed[1] if failed else tests[0]
        match self._without(test):
            case None:
                return Outcome(verdict="out of time", by=test)
            case code:
                return Outcome(verdict="unsound" if code else "caught", by=test)

    def _without(self, test: str) -> int | None:
        """What comes of a test in the copy as it was: if it fails there too, it says nothing of the slip."""
        if self._codes.get(test) is None:
            self._codes[test] = self._pytest([test])[0]
        return self._codes[test]

    def _pytest(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """The exit code, None when time ran out, and what was printed."""
        flags = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", f"--timeout={_TEST_SECONDS}"]
        root = "redraw_airflow" if tests[0].startswith("tests/redraw_airflow/") else "redraw"
        program = self._server(root).start(
            "tests.mutants.suite:run",
            [os.fspath(self.copy), *flags, "-o", "timeout_func_only=true", *tests],
            {"TMPDIR": self._scratch, "COLUMNS": "500"},
        )
        try:
            ended = program.wait(self.seconds)
        finally:
            self._end_processes(program.pid)
        return (None if ended.status == -signal.SIGKILL else ended.status), ended.stdout

    def _server(self, root: str) -> ForkServer:
        """The one that forks the tests of one side."""
        if root not in self._servers:
            # Before the checkout that is installed: all import the copy, processes that tests start too.
            # And not what lies in the working folder, which is that checkout.
            roots = (self.copy, *(self.copy / root for root in _SOURCE_ROOTS), ROOT)
            environment = {"PYTHONPATH": os.pathsep.join(map(os.fspath, roots)), "PYTHONSAFEPATH": "1"}
            folder = self.copy.parent / f"{root}-output"
            folder.mkdir()
            self._servers[root] = ForkServer(self.imported[root], os.environ | environment, folder)
        return self._servers[root]

    def close(self) -> None:
        """Start no more tests."""
        for server in self._servers.values():
            server.close()

    @property
    def _scratch(self) -> str:
        return os.fspath(self.copy.parent / "tmp")

    def _end_processes(self, session: int) -> None:
        """End what still runs of the tests: a slip may leave a process behind that ends by nothing else."""
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("TMPDIR") == self._scratch:
                    process.kill()

    def _write(self, path: Path, source: str) -> None:
        """Write a module, and forget its compiled form, which may look as old as this."""
        path.write_text(source)
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()


def nearest_tests(root: Path, module: str) -> list[str]:
    """The test files of a module's package, and others of its side that import it, the nearest first.

    The test of its name comes first, then those of the package that import it, then those of its folder, then
    those of other packages that import it, then all others of the package: tests mirror the layout. Those
    that need a browser or an Airflow come last.
    """
    source, *folders, file = Path(module).parts
    dotted = ".".join([*folders, file.removesuffix(".py")])
    elsewhere = _ELSEWHERE.get("/".join(folders))
    folder = root / "tests" / (elsewhere or Path(*folders))
    home = root / "tests" / Path(*folders[:2])
    package = folder if elsewhere else home
    packages = [
        package,
        *(root / "tests" / other for other in _ALSO.get(elsewhere or "/".join(folders[:2]), ())),
    ]
    own = f"test_{file}"
    sides = [root / "tests" / folders[0], *([root / "tests/foreign"] if source == "tasks" else [])]
    texts = {path: path.read_text() for side in sides for path in side.rglob("test_*.py")}
    tests = {path: f"{dotted} " in text for path, text in texts.items()}

    def distance(path: Path) -> tuple[bool, bool, bool, bool, bool, int, str]:
        common = len(Path(os.path.commonpath([path.parent, folder])).parts)
        near = path.is_relative_to(package) or path.is_relative_to(home)
        same = path.parent == folder and path.name == own
        imports = near and tests[path]
        slow = _SLOW.search(texts[path]) is not None
        return slow, not same, not imports, path.parent != folder, near, -common, os.fspath(path)

    chosen = [path for path, imports in tests.items() if imports or any(map(path.is_relative_to, packages))]
    return [path.relative_to(root).as_posix() for path in sorted(chosen, key=distance)]
