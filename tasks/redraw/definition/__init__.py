"""Definitions, which users write: one class that draws every graph of a model from the same code.

A definition is a module in one of the packages that `REDRAW_MODELS` lists. The module's name is the model's
name, its docstring's first line describes it, and it has one subclass of `ModelDefinition`. Imports may be at
its top, because only stages that need TensorFlow import it.

There are three kinds of network: a Keras model, a `tf.Module`, and a TF1 graph function. A `ModelDefinition`
builds one of the first two, which must be callable and have `variables`. A `GraphFunctionDefinition` draws
with `tf.compat.v1` instead, for models whose checkpoints identify variables only by name. A
`RecordedDefinition` has no network of its own: it names the graph that training recorded. A
`ConfiguredDefinition` names the configuration that Keras saved. In each kind, names (with Keras: variables'
paths) assign the checkpoint's values to variables, so a layer that is drawn in only one mode (dropout,
augmentation) must not change the names of other layers.

A definition that only exports needs its signatures, `build` and `serve`; data, loss and examples are needed
to train, and to measure.
"""

from redraw.definition.configured import ConfiguredDefinition as ConfiguredDefinition
from redraw.definition.graph_function import GraphFunctionDefinition as GraphFunctionDefinition
from redraw.definition.model import ModelDefinition as ModelDefinition
from redraw.definition.parts import Applies as Applies
from redraw.definition.parts import Budget as Budget
from redraw.definition.parts import GoldenExamples as GoldenExamples
from redraw.definition.parts import Mode as Mode
from redraw.definition.parts import OutsideReference as OutsideReference
from redraw.definition.parts import Threshold as Threshold
from redraw.definition.parts import TrainingPlan as TrainingPlan
from redraw.definition.recorded import RecordedDefinition as RecordedDefinition
from redraw.records import Signature as Signature
from redraw.records import TensorSpec as TensorSpec
