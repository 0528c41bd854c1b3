"""What a user writes: one class that draws every graph of a model from the same code.

A definition is a module in one of the packages that `REDRAW_MODELS` lists. The
module's name is the model's name, its docstring's first line describes it, and it
holds one subclass of `ModelDefinition` (imports may stand at its top: the module is
only imported by stages that need TensorFlow).

Three kinds of network fit: a Keras model, a `tf.Module`, and a TF1 graph function. A
`ModelDefinition` builds one of the first two; all that is asked of it is that it is
callable and has `variables`. A `GraphFunctionDefinition` draws with `tf.compat.v1`
instead, for models whose checkpoints know variables only by name. A `RecordedDefinition`
has no network of its own: it names the graph that training recorded; a `ConfiguredDefinition`
names the configuration that Keras kept. In each kind names
say which value of the checkpoint belongs where (Keras: variables' paths), so a layer
that is drawn in one mode only (dropout, augmentation) must not change the names of
the others.

What only exports states its signatures, `build` and `serve`; data, loss and examples are needed
to train, and to measure.
"""

from redraw.definition.configured import ConfiguredDefinition
from redraw.definition.graph_function import GraphFunctionDefinition
from redraw.definition.model import ModelDefinition
from redraw.definition.parts import (
    Applies,
    Budget,
    GoldenExamples,
    Mode,
    OutsideReference,
    Threshold,
    TrainingPlan,
)
from redraw.definition.recorded import RecordedDefinition
from redraw.records import Signature, TensorSpec

__all__ = [
    "Applies",
    "Budget",
    "ConfiguredDefinition",
    "GoldenExamples",
    "GraphFunctionDefinition",
    "Mode",
    "ModelDefinition",
    "OutsideReference",
    "RecordedDefinition",
    "Signature",
    "TensorSpec",
    "Threshold",
    "TrainingPlan",
]
