"""Ask a SavedModel as a server does: TensorFlow's C++ runtime in a process of its own."""

from tasks.validate.serving.process import (
    Latency,
    LoadedModel,
    LoadFailed,
    RequestRefused,
    ServingCrashed,
    ServingProcess,
)

__all__ = ["Latency", "LoadFailed", "LoadedModel", "RequestRefused", "ServingCrashed", "ServingProcess"]
