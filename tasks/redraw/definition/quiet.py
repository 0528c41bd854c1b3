"""Keep other code's output out of the log, and out of the record on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from redraw.lazy import defer_modules

# Modules that Keras imports but few programs use. If scikit-learn and Matplotlib are installed, they take a
# quarter of the time of importing TensorFlow.
_SELDOM_USED = ("keras.wrappers", "keras._tf_keras.keras.wrappers", "matplotlib.pyplot")


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keep the native libraries' start-up lines out of the log while TensorFlow is imported.

    They are written to file descriptor 2 before any log level applies; if the import fails, they are shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "tensorflow" not in sys.modules:
        defer_modules(*_SELDOM_USED)
    with tempfile.TemporaryFile() as lines:
        sys.stderr.flush()
        standard_error = os.dup(2)
        os.dup2(lines.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:
                # Listing devices prints the complaints about missing GPUs now.
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            os.lseek(lines.fileno(), 0, os.SEEK_SET)
            os.write(standard_error, lines.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


@contextlib.contextmanager
def keep_stdout() -> Iterator[None]:
    """Send the output of definitions and libraries, from Python or native code, to standard error.

    Standard output must have only one record.
    """
    sys.stdout.flush()
    standard_output = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(standard_output, 1)
        os.close(standard_output)
