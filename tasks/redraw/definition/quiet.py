"""Keep other code's printing out of the log, and out of the record on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from redraw.lazy import defer_modules

# What Keras imports for the few who use it, where scikit-learn and Matplotlib are installed: a quarter of the
# time that the import of TensorFlow takes.
_SELDOM_USED = ("keras.wrappers", "keras._tf_keras.keras.wrappers", "matplotlib.pyplot")


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keep the native libraries' start-up lines out of the log while TensorFlow is imported.

    They are written to file descriptor 2 before any log level holds; an import that
    fails shows them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if "tensorflow" not in sys.modules:
        defer_modules(*_SELDOM_USED)
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        standard_error = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:
                # Looking for devices is what complains that a machine has no GPU.
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            os.lseek(held.fileno(), 0, os.SEEK_SET)
            os.write(standard_error, held.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


@contextlib.contextmanager
def keep_stdout() -> Iterator[None]:
    """Send to standard error what a definition or a library prints, from Python or natively.

    Standard output carries one record, and nothing else may get in between.
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
