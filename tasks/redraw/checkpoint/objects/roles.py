"""Find the role of each tensor of a checkpoint, by its object graph or, without one, by its name."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Mapping

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.objects.averages import AVERAGE_SUFFIX, SHADOW_MODELS
from redraw.checkpoint.objects.trackable import OBJECT_GRAPH_KEY, ObjectGraph, ObjectNode, SavedTensor


class Role(enum.StrEnum):
    """The role of a tensor."""

    MODEL_WEIGHT = "model weight"
    MOVING_AVERAGE = "moving average"
    SLOT_VARIABLE = "slot variable"
    OPTIMIZER = "optimizer"
    STEP = "step"
    METRIC = "metric"
    RANDOM_SEED = "random seed"
    OBJECT_GRAPH = "object graph"
    OTHER = "other"


_STEPS = {"step", "global_step"}
# tf.train.Checkpoint counts its saves in this variable.
_SAVE_COUNTER = "save_counter"
_AVERAGES = set(SHADOW_MODELS)
# Keras' metrics, in checkpoints of compiled models and in SavedModels.
_METRICS = {"metrics", "_metrics", "_compile_metrics", "_loss_tracker", "keras_api"}
# keras.random.SeedGenerator and tf.random.Generator, as attributes and as variables.
_SEED_ATTRIBUTES = {"seed_generator", "_seed_generators", "_state_var"}
_SEED_VARIABLES = {"seed_generator_state", "StateVar"}
# Attributes of keras.Optimizer (3.x) that are not slot variables.
_KERAS_OPTIMIZER = {"_variables", "_trainable_variables", "_iterations"}
_TRAINED = "_trainable_variables"
_OPTIMIZER_AVERAGES = "_model_variables_moving_average"
_OPTIMIZER_STATE = {"_iterations", "_learning_rate"}
_SLOTS = "_variables"

# Names in checkpoints of TF1: the suffixes that optimizers and averages add to a variable's name.
# The additional variables of an average without bias.
_DEBIASING = {f"{AVERAGE_SUFFIX}/biased", f"{AVERAGE_SUFFIX}/local_step"}
_SLOT_SUFFIXES = {
    "Adam",
    "Adam_1",
    "Momentum",
    "RMSProp",
    "RMSProp_1",
    "RMSProp_2",
    "Adagrad",
    "AdagradDA",
    "Adadelta",
    "Adadelta_1",
    "Ftrl",
    "Ftrl_1",
    "gradient_accumulator",
    "gradient_squared_accumulator",
    "adam_m",
    "adam_v",
    "lamb_m",
    "lamb_v",
}
_NUMBERED = re.compile(r"_\d+$")
_OPTIMIZER_NAMES = {"beta1_power", "beta2_power"}
# Scalars of optimizers: of mixed precision, of contrib's `optimize_loss`, of Keras in TF1.
_OPTIMIZER_NUMBERS = {"current_loss_scale", "good_steps", "learning_rate"}
_KERAS_NUMBER = re.compile(
    r"(.*/)?(Adam|SGD|RMSprop|Adagrad|Adadelta|Adamax|Nadam|Ftrl|TFOptimizer)(_\d+)?"
    r"/(lr|decay|beta_1|beta_2|rho|momentum|iter|iterations)"
)
# Slots of Mesh TensorFlow, for example of T5.
_MESH_SLOT = re.compile(r"(?P<variable>.+)_slot_(k\d+_)?[a-z]{1,3}")
# The scope of Keras 2's optimizers in a TF1 graph.
_KERAS_SCOPE = re.compile(r"training(_\d+)?/[A-Z]\w*/(?P<rest>.+)")


def classify_tensors(entries: Mapping[str, TensorEntry], graph: ObjectGraph | None) -> dict[str, Role]:
    """Find the role of each tensor.

    A tensor of several objects has the first of these roles: random seed, step, model weight,
    moving average, slot variable, optimizer.

    Args:
        entries: The checkpoint's tensors.
        graph: Its object graph; None if there is none, and names decide.

    Returns:
        The role of every key in `entries`.
    """
    if graph is None:
        plain = {_plain(key): entry for key, entry in entries.items()}
        return {key: _role_by_name(_plain(key), plain) for key in entries}
    roles = _roles_by_graph(graph)
    roles[OBJECT_GRAPH_KEY] = Role.OBJECT_GRAPH
    return {key: roles.get(key, Role.OTHER) for key in entries}


def objects_apart(graph: ObjectGraph) -> set[int]:
    """The objects of a model that have no weights: optimizers, random states, metrics."""
    optimizers = _optimizers(graph)
    slots = (slot for number in optimizers for slot in graph.nodes[number].slot_variables)
    seeds = _targets(graph, range(len(graph.nodes)), _SEED_ATTRIBUTES)
    metrics = _targets(graph, range(len(graph.nodes)), _METRICS)
    return {*optimizers, *slots, *_seed_objects(graph), *seeds, *metrics}


def _optimizers(graph: ObjectGraph) -> list[int]:
    numbers = [number for number, node in enumerate(graph.nodes) if _is_optimizer(node)]
    return numbers + _targets(graph, range(len(graph.nodes)), {"optimizer", "_optimizer"})


def _seed_objects(graph: ObjectGraph) -> list[int]:
    return [number for number, node in enumerate(graph.nodes) if any(map(_is_seed, node.variables()))]


def _is_seed(tensor: SavedTensor) -> bool:
    return tensor.full_name.rpartition("/")[2] in _SEED_VARIABLES


def _roles_by_graph(graph: ObjectGraph) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for role, numbers in _claims(graph):
        for number in numbers:
            for tensor in graph.nodes[number].variables():
                roles.setdefault(tensor.key, _role_by_own_name(tensor) or role)
    return roles


def _role_by_own_name(tensor: SavedTensor) -> Role | None:
    if _is_seed(tensor):
        return Role.RANDOM_SEED
    return Role.MOVING_AVERAGE if tensor.full_name.endswith(AVERAGE_SUFFIX) else None


def _claims(graph: ObjectGraph) -> Iterator[tuple[Role, Iterable[int]]]:
    """Roles and their objects, the stronger claims first."""
    roots = [0] if graph.nodes else []
    apart = objects_apart(graph)
    seeds = _targets(graph, range(len(graph.nodes)), _SEED_ATTRIBUTES)
    yield Role.RANDOM_SEED, _reachable(graph, [*seeds, *_seed_objects(graph)], set())
    top = [target for number in roots for _, target in graph.nodes[number].children]
    steps = _targets(graph, roots, _STEPS)
    counters = _targets(graph, roots, {_SAVE_COUNTER})
    averages = _targets(graph, roots, _AVERAGES)
    yield Role.STEP, steps
    yield Role.OTHER, counters
    weights = [number for number in top if number not in {*steps, *counters, *averages}]
    yield Role.MODEL_WEIGHT, _reachable(graph, weights, apart)
    yield Role.MOVING_AVERAGE, _reachable(graph, averages, apart)
    yield from _optimizer_claims(graph, _optimizers(graph))
    metrics = _targets(graph, range(len(graph.nodes)), _METRICS)
    yield Role.METRIC, _reachable(graph, metrics, apart - set(metrics))


def _optimizer_claims(graph: ObjectGraph, optimizers: list[int]) -> Iterator[tuple[Role, Iterable[int]]]:
    def lists(name: str) -> list[int]:
        containers = _targets(graph, optimizers, {name})
        return [target for number in containers for _, target in graph.nodes[number].children]

    yield Role.MODEL_WEIGHT, lists(_TRAINED)
    yield Role.MOVING_AVERAGE, lists(_OPTIMIZER_AVERAGES)
    yield Role.OPTIMIZER, _targets(graph, optimizers, _OPTIMIZER_STATE)
    yield Role.SLOT_VARIABLE, (slot for number in optimizers for slot in graph.nodes[number].slot_variables)
    yield Role.SLOT_VARIABLE, lists(_SLOTS)
    yield Role.OPTIMIZER, _reachable(graph, optimizers, set())


def _is_optimizer(node: ObjectNode) -> bool:
    return bool(node.slot_variables) or {name for name, _ in node.children} >= _KERAS_OPTIMIZER


def _targets(graph: ObjectGraph, numbers: Iterable[int], names: set[str]) -> list[int]:
    return [target for number in numbers for name, target in graph.nodes[number].children if name in names]


def _reachable(graph: ObjectGraph, starts: Iterable[int], apart: set[int]) -> list[int]:
    """The objects that are reachable from `starts`, including these, without entering `apart`."""
    queue = [number for number in dict.fromkeys(starts) if number not in apart]
    visited = set(queue)
    for number in queue:
        for _, target in graph.nodes[number].children:
            if target not in visited and target not in apart:
                visited.add(target)
                queue.append(target)
    return queue


def _role_by_name(key: str, entries: Mapping[str, TensorEntry]) -> Role:
    base, _, last = key.rpartition("/")
    kind = _NUMBERED.sub("", last)
    if key == OBJECT_GRAPH_KEY:
        return Role.OBJECT_GRAPH
    if key in _STEPS or (last in _STEPS and _is_count(entries[key])):
        return Role.STEP
    if key.endswith(AVERAGE_SUFFIX):
        return Role.MOVING_AVERAGE
    if entries[key].shape == () and (kind in _OPTIMIZER_NUMBERS or _KERAS_NUMBER.fullmatch(key)):
        counts = last.startswith("iter") and _is_count(entries[key])
        return Role.STEP if counts else Role.OPTIMIZER
    if (mesh := _MESH_SLOT.fullmatch(key)) and mesh["variable"] in entries:
        return Role.SLOT_VARIABLE
    if kind in _OPTIMIZER_NAMES or key.endswith(tuple(_DEBIASING)):
        return Role.OPTIMIZER
    if {last, kind} & _SLOT_SUFFIXES and _is_variable(base, entries):
        return Role.SLOT_VARIABLE
    if of_keras := _KERAS_SCOPE.fullmatch(key):
        return _role_in_keras(of_keras["rest"], entries[key], entries)
    return Role.SLOT_VARIABLE if _is_slot(key, entries[key], entries) else Role.MODEL_WEIGHT


def _plain(key: str) -> str:
    """A variable's name without the number of its operation's output."""
    return key.removesuffix(":0")


def _is_count(entry: TensorEntry) -> bool:
    return entry.shape == () and entry.dtype in ("int32", "int64")


def _is_slot(name: str, entry: TensorEntry, entries: Mapping[str, TensorEntry]) -> bool:
    """Whether a tensor is named after a variable: `w/t_0/Adagrad`, `w/Adam_2`.

    It has the variable's shape or is a scalar. If its name is that of an optimizer's class, it may have
    only some of the sizes: Adafactor stores a number for each row and each column.
    """
    of_class = name.rpartition("/")[2][:1].isupper()
    while "/" in name:
        name = name.rpartition("/")[0]
        if name in entries:
            sizes = iter(entries[name].shape)
            part = of_class and all(size in sizes for size in entry.shape)
            return part or entry.shape in (entries[name].shape, ())
    return False


def _role_in_keras(name: str, entry: TensorEntry, entries: Mapping[str, TensorEntry]) -> Role:
    """The role of a tensor in the scope of a Keras 2 optimizer: a slot named after a weight, or its state."""
    if _is_slot(name, entry, entries):
        return Role.SLOT_VARIABLE
    if name in ("iter", "iterations") and _is_count(entry):
        return Role.STEP
    return Role.OPTIMIZER


def _is_variable(name: str, entries: Mapping[str, TensorEntry]) -> bool:
    """Whether a variable has that name, perhaps without the optimizer's scope."""
    while name and name not in entries:
        _, _, name = name.partition("/")
    return bool(name)
