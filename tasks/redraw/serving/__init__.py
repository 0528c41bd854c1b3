"""Ask a SavedModel as a server does: TensorFlow's C++ runtime in a process of its own.

    ServingProcess ── requests, arrays ──► worker ── ctypes ──► libtensorflow_cc.so.2
      LoadedModel  ◄── answers, errors ──┘

The worker imports no TensorFlow: it holds what TensorFlow Serving holds, the C++ loader
and a session for each model. It may die of a model; the caller gets an error, and the next
request finds a new worker.
"""

from redraw.serving.errors import LoadFailed as LoadFailed
from redraw.serving.errors import OperationsRefused as OperationsRefused
from redraw.serving.errors import RequestRefused as RequestRefused
from redraw.serving.errors import ServingCrashed as ServingCrashed
from redraw.serving.process import Latency as Latency
from redraw.serving.process import LoadedModel as LoadedModel
from redraw.serving.process import ServingProcess as ServingProcess
