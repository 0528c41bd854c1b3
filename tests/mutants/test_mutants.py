from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.mutants.slips import OPERATORS, DropCall, Slip, apply_slip, sample_slips
from tests.mutants.trial import Trial, copy_checkout, nearest_tests
from tests.paths import ROOT

_PACKAGES = ("tasks/redraw/reexport", "plugins/redraw_airflow/stages")

_MODULE = '''"""A module."""


def largest(values: list[int], /) -> int | None:
    check(values)
    found = None
    for value in values:
        if found is None or value > found:
            found = value
    return found


def check(values: list[int]) -> None:
    if len(values) > 3:
        raise ValueError("too many")


def forget() -> None:
    check([1])
'''

_TESTS = """
import pathlib
import pytest
from redraw.small.sizes import largest

@pytest.mark.parametrize("values", [[1, 3, 2]], ids=["a name of words"])
def test_largest(values: list[int]) -> None:
    assert largest(values) == 3
    assert largest([]) is None
    with pytest.raises(ValueError):
        largest([1, 2, 3, 4])

def test_that_passes_once() -> None:
    assert not pathlib.Path("was-here").exists()
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of one module and its tests."""
    contents = {
        "tasks/redraw/__init__.py": "",
        "tasks/redraw/small/sizes.py": _MODULE,
        "tests/redraw/small/test_sizes.py": _TESTS,
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def slip_at(line: int, operator: str, occurrence: int = 0) -> Slip:
    return Slip(module="tasks/redraw/small/sizes.py", line=line, operator=operator, occurrence=occurrence)


def test_sample_of_one_seed_is_the_same_and_spread_over_the_packages() -> None:
    first = list(sample_slips(ROOT, _PACKAGES, 12, seed=3))
    assert list(sample_slips(ROOT, _PACKAGES, 12, seed=3)) == first
    assert list(sample_slips(ROOT, _PACKAGES, 6, seed=3)) == first[:6]
    assert list(sample_slips(ROOT, _PACKAGES, 12, seed=4)) != first
    assert len(set(first)) == 12
    assert set(Counter(str(Path(slip.module).parent) for slip in first).values()) == {6}
    for slip in first:
        source = (ROOT / slip.module).read_text()
        changed = apply_slip(source, slip)
        assert changed is not None
        assert changed != source


@pytest.mark.parametrize(
    ("line", "operator", "occurrence", "after"),
    [
        (5, "DropCall", 0, "    pass"),
        (8, "ReplaceOrWithAnd", 0, "        if found is None and value > found:"),
        (8, "Gt_GtE", 0, "        if found is None or value >= found:"),
        (14, "NumberReplacer", 0, "    if len(values) > 4:"),
        (4, "BitOr_BitAnd", 0, None),  # an annotation
        (4, "Div_Mul", 0, None),  # no division
    ],
)
def test_apply_slip_changes_one_place_that_runs(
    line: int, operator: str, occurrence: int, after: str | None
) -> None:
    changed = apply_slip(_MODULE, slip_at(line, operator, occurrence))
    assert (changed and changed.splitlines()[line - 1]) == after


def test_drop_call_leaves_log_lines_and_values() -> None:
    source = "logger.info('x')\nvalue = check(x)\ncheck(x).y\nawait_(x)\n"
    assert apply_slip(source, slip_at(4, "DropCall")) == source.replace("await_(x)", "pass")
    assert apply_slip(source, slip_at(1, "DropCall", 1)) is None
    assert isinstance(OPERATORS["DropCall"], DropCall)


def test_apply_slip_to_a_protocol_changes_nothing() -> None:
    source = "class Sized(Protocol):\n    @property\n    def size(self) -> int: ...\n"
    assert apply_slip(source, slip_at(2, "RemoveDecorator")) is None
    assert apply_slip(source.replace("(Protocol)", ""), slip_at(2, "RemoveDecorator")) is not None


def test_apply_slip_to_a_limit_changes_nothing() -> None:
    source = "def show(text):\n    read(1 << 16)\n    return f'{text[:40]!r}', text[:40]\n"
    slips = [slip_at(0, "NumberReplacer", occurrence) for occurrence in range(8)]
    assert [apply_slip(source, slip) is None for slip in slips] == [*(6 * [True]), False, False]
    assert apply_slip(source, slip_at(2, "LShift_RShift")) is not None
    numbers = slip_at(1, "NumberReplacer")
    assert apply_slip("_MOST, _LONGEST = 50, 400\n", numbers) is None
    assert apply_slip("_INTEGERS = (3, 9)\n", numbers) is not None


def test_try_slips_tells_what_tests_catch_and_changes_only_the_copy(checkout: Path) -> None:
    with (
        copy_checkout(checkout) as copy,
        closing(Trial(copy=copy, seconds=60, imported={"redraw": ["pytest"]})) as trial,
    ):
        caught = trial.try_slip(slip_at(5, "DropCall"))
        survived = trial.try_slip(slip_at(19, "DropCall", 1))
        (copy / "was-here").touch()
        unsound = trial.try_slip(slip_at(19, "DropCall", 1))
        trial.seconds = 0.01
        late = trial.try_slip(slip_at(5, "DropCall"))
        assert (copy / "tasks/redraw/small/sizes.py").read_text() == _MODULE
    assert (caught.verdict, caught.by) == (
        "caught",
        "tests/redraw/small/test_sizes.py::test_largest[a name of words]",
    )
    assert survived.verdict == "survived"
    assert (unsound.verdict, unsound.by.rpartition("::")[2]) == ("unsound", "test_that_passes_once")
    assert late.verdict == "out of time"
    assert (checkout / "tasks/redraw/small/sizes.py").read_text() == _MODULE
    assert not copy.exists()


def test_nearest_tests_a_module_begin_with_its_own() -> None:
    nearest = nearest_tests(ROOT, "tasks/redraw/publish/prune/prune.py")
    assert nearest[0] == "tests/redraw/publish/prune/test_prune.py"
    importing, others = (
        nearest.index(f"tests/redraw/{path}.py")
        for path in ("inspect/differences/test_compare", "publish/push/test_push")
    )
    assert importing < others
    assert all(path.startswith("tests/redraw/publish/") for path in nearest[others:])
    assert "tests/redraw/publish/test_verify.py" in nearest[others:]
    stages = nearest_tests(ROOT, "plugins/redraw_airflow/stages/pod.py")
    assert stages[0] == "tests/redraw_airflow/stages/test_pod.py"
    recording = nearest_tests(ROOT, "tasks/redraw/validate/subject/recording/untouched.py")
    loops = nearest_tests(ROOT, "tasks/redraw/validate/subject/recording/loops.py")
    assert loops[0] == "tests/redraw/validate/subject/test_loops.py"
    assert {"tests/redraw/recorded/test_export.py", "tests/redraw/heal/test_heal.py"} <= {*recording}
    for module, other in (
        ("recorded/roles", "redraw/draft/test_draft"),
        ("export/source", "foreign/test_answers"),
    ):
        assert f"tests/{other}.py" in nearest_tests(ROOT, f"tasks/redraw/{module}.py")
