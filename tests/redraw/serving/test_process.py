import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redraw.checkpoint.bundle.dtypes import numpy_dtype
from redraw.serving import LoadedModel, LoadFailed, RequestRefused, ServingCrashed, ServingProcess
from tests.paths import ROOT
from tests.redraw.dtypes import NUMBERS


@pytest.fixture(scope="module")
def model(serving: ServingProcess, mirror: Path) -> LoadedModel:
    return serving.load(mirror)


@pytest.fixture
def mortal() -> Iterator[ServingProcess]:
    """A process that a test may kill."""
    with ServingProcess(request_seconds=3) as one:
        yield one


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 2)])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_answer_number_of_any_dtype_keeps_its_bits(
    dtype: str, shape: tuple[int, ...], model: LoadedModel
) -> None:
    held = numpy_dtype(dtype)
    assert held is not None
    size = int(np.prod(shape)) * held.itemsize
    raw = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 256, size).astype(np.uint8)
    value = np.frombuffer(raw.tobytes(), held).reshape(shape)
    answer = model.answer(dtype, {"x": value})["y"]
    assert answer.dtype == held
    assert answer.shape == shape
    assert answer.tobytes() == value.tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.binary(max_size=60) | st.just(b"\xff" * 100_000), max_size=5))
def test_answer_strings_of_any_bytes_keeps_them(texts: list[bytes], model: LoadedModel) -> None:
    value = np.empty(len(texts), dtype=object)
    value[:] = texts
    assert model.answer("string", {"x": value})["y"].tolist() == texts


def test_answer_text_is_sent_as_utf_8(model: LoadedModel) -> None:
    for value in (np.array(["grün", ""]), np.array(["grün", ""], dtype=object)):
        assert model.answer("string", {"x": value})["y"].tolist() == ["grün".encode(), b""]


def test_answer_packed_dtype_is_refused_by_name(model: LoadedModel) -> None:
    with pytest.raises(RequestRefused, match="a request cannot carry values of dtype int4") as refused:
        model.answer("int8", {"x": np.zeros(2, ml_dtypes.int4)})
    assert refused.value.code == "UNIMPLEMENTED"


@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_answer_of_very_many_rows_without_values_is_refused(dtype: str, model: LoadedModel) -> None:
    held = object if dtype == "string" else np.float32
    with pytest.raises(
        RequestRefused, match=r"an answer cannot carry the shape \[1073741824, 0\]"
    ) as refused:
        model.answer(dtype, {"x": np.zeros((1 << 30, 0), held)})
    assert refused.value.code == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("float32", {"x": np.zeros(2, np.int32)}, "Expects arg\\[0\\] to be float but int32 is provided"),
        ("float32", {"z": np.zeros(2, np.float32)}, "expected the inputs x, got z"),
        ("none", {"x": np.zeros(2, np.float32)}, "no signature 'none'; the model has: .*float32"),
    ],
)
def test_answer_request_that_does_not_fit_is_refused(
    signature: str, inputs: dict[str, np.ndarray], message: str, model: LoadedModel
) -> None:
    with pytest.raises(RequestRefused, match=message) as refused:
        model.answer(signature, inputs)
    assert refused.value.code == "INVALID_ARGUMENT"


def test_load_two_models_keeps_their_variables_apart(
    serving: ServingProcess, model: LoadedModel, mirror: Path
) -> None:
    other = serving.load(mirror)
    before = other.digest_variables()
    assert set(before) >= {"count", "weight"}
    assert model.answer("counted", {"x": np.float32([3])})["y"].tolist() == [6]
    assert other.digest_variables() == before
    other.answer("counted", {"x": np.float32([3])})
    after = other.digest_variables()
    assert {name for name in before if before[name] != after[name]} == {"count"}
    other.close()
    assert model.answer("counted", {"x": np.float32([4])})["y"].tolist() == [8]


def test_measure_request_counts_rows_and_time(model: LoadedModel) -> None:
    latency = model.measure("float32", {"x": np.zeros((32, 2), np.float32)}, 0.05)
    assert 0 < latency.p50_ms <= latency.p99_ms
    assert latency.requests >= 1
    assert latency.rows_per_second == pytest.approx(32 * latency.requests_per_second)


@pytest.mark.parametrize(
    ("tags", "message"), [(("serve", "gpu"), "matching supplied tags"), ((), "matching supplied tags")]
)
def test_load_without_such_tags_fails(
    tags: tuple[str, ...], message: str, serving: ServingProcess, mirror: Path
) -> None:
    with pytest.raises(LoadFailed, match=message):
        serving.load(mirror, tags)


def test_load_folder_without_a_model_fails(serving: ServingProcess, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"NOT_FOUND: Could not find SavedModel \.pb"):
        serving.load(tmp_path)


def test_answer_after_a_kill_tells_of_it_once_and_then_answers(mortal: ServingProcess, mirror: Path) -> None:
    model = mortal.load(mirror)
    killed = model.pid
    os.kill(killed, signal.SIGSEGV)
    with pytest.raises(ServingCrashed, match="was killed by SIGSEGV"):
        model.answer("counted", {"x": np.float32([1])})
    assert model.answer("counted", {"x": np.float32([1])})["y"].tolist() == [2]
    assert model.pid != killed
    assert mortal.load(mirror).load_seconds > 0


def test_answer_killed_in_the_middle_tells_by_which_signal(mortal: ServingProcess, mirror: Path) -> None:
    model = mortal.load(mirror)
    threading.Timer(0.3, os.kill, (model.pid, signal.SIGABRT)).start()
    with pytest.raises(ServingCrashed, match="was killed by SIGABRT"):
        model.answer("endless", {"x": np.int32([-1])})
    assert model.answer("endless", {"x": np.int32([5])})["y"].tolist() == [5]


def test_answer_that_never_comes_ends_the_process(
    mortal: ServingProcess, mirror: Path, until: Callable[..., None]
) -> None:
    model = mortal.load(mirror)
    hung = model.pid
    with pytest.raises(ServingCrashed, match="no answer within 3 s"):
        model.answer("endless", {"x": np.int32([-1])})
    until(lambda: not Path(f"/proc/{hung}").exists(), "the end of the process that hung")
    assert model.answer("endless", {"x": np.int32([5])})["y"].tolist() == [5]


_LEAVE = """
import os, sys
from pathlib import Path
from redraw.serving import ServingProcess

serving = ServingProcess()
model = serving.load(Path(sys.argv[1]))
assert not [name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "keras")]
print(model.pid, flush=True)
os._exit(0)
"""


def test_worker_of_a_client_that_is_gone_ends_itself(mirror: Path, until: Callable[..., None]) -> None:
    root = ROOT / "tasks"
    client = subprocess.run(
        [sys.executable, "-c", _LEAVE, str(mirror)], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert client.returncode == 0, client.stderr
    worker = Path("/proc") / client.stdout.strip()
    until(lambda: not worker.exists() or "State:\tZ" in (worker / "status").read_text(), "the worker's end")
