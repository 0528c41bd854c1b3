"""The extras of the distribution that install missing libraries."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from redraw.errors import MissingDependency

_TENSORFLOW = (
    "cramjam",
    "grpc",
    "h5py",
    "keras",
    "pygraphviz",
    "rich",
    "tensorboard",
    "tensorflow",
    "tensorflow_serving",
)
# Top-level module to extra.
_EXTRAS = {
    **dict.fromkeys(_TENSORFLOW, "tensorflow"),
    "cyclonedx": "passport",
    "packageurl": "passport",
    "mlflow": "mlflow",
    "mlxtend": "examples",
    "model_signing": "signing",
    "tf_keras": "legacy-keras",
}


@contextlib.contextmanager
def naming_extras() -> Iterator[None]:
    """Translate the error of a missing library into one that says how to install it.

    Raises:
        MissingDependency: A library of one of the extras is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as err:
        module = (err.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        raise MissingDependency(
            f"the Python module {module} is not installed for {sys.executable}. Install"
            f" airflow-provider-redraw[{_EXTRAS[module]}] there, or set REDRAW_PYTHON to an interpreter"
            " that has it."
        ) from err
