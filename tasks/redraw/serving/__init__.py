"""Load and ask a SavedModel like a server: TensorFlow's C++ runtime in a process of its own.

    ServingProcess ── requests, arrays ──► worker ── ctypes ──► libtensorflow_cc.so.2
      LoadedModel  ◄── answers, errors ──┘

The worker does not import TensorFlow: like TensorFlow Serving it has the C++ loader and a session
for its model. If a model crashes the worker, the caller gets an error, and the next request starts a
new worker.
"""

from redraw.serving.errors import LoadFailed as LoadFailed
from redraw.serving.errors import OperationsRefused as OperationsRefused
from redraw.serving.errors import RequestRefused as RequestRefused
from redraw.serving.errors import ServingCrashed as ServingCrashed
from redraw.serving.process import Latency as Latency
from redraw.serving.process import LoadedModel as LoadedModel
from redraw.serving.process import ServingProcess as ServingProcess
