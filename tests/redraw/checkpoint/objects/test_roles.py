"""What tensors are there for, by their names or by the objects of their checkpoint."""

from __future__ import annotations

import pytest

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.objects.roles import Role, classify_tensors
from redraw.checkpoint.objects.trackable import ObjectGraph
from tests.redraw.checkpoint.objects.trees import Tree, graph_of, variable

WEIGHTS: dict[str, tuple[int, ...]] = {
    "dnn/kernel": (4, 3),
    "dnn/bias": (3,),
    "bn/moving_mean": (3,),
    "w": (7,),
}


def role_of(key: str, shape: tuple[int, ...], dtype: str = "float32") -> Role:
    """Its role next to `WEIGHTS`."""
    forms = {name: (form, "float32") for name, form in WEIGHTS.items()} | {key: (shape, dtype)}
    if key.endswith(":0"):
        forms = {f"{name.removesuffix(':0')}:0": form for name, form in forms.items()}
    entries = {name: entry_of(name, form, held) for name, (form, held) in forms.items()}
    return classify_tensors(entries, None)[key]


def entry_of(name: str, shape: tuple[int, ...] = (), dtype: str = "float32") -> TensorEntry:
    return TensorEntry(key=name, dtype=dtype, shape=shape, shard=0, offset=0, size=0, crc32c=0)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("dnn/kernel/t_0/Adagrad", (4, 3)),
        ("dnn/kernel/part_0/Ftrl", (4, 3)),
        ("dnn/kernel/part_0/Ftrl_1", (4, 3)),
        ("dnn/kernel/ProximalAdagrad", (4, 3)),
        ("dnn/kernel/Adam_2", (4, 3)),
        ("dnn/kernel/Adam:0", (4, 3)),
        ("dnn/kernel/some_new_optimizer/first", (4, 3)),
        ("dnn/kernel/count", ()),
        ("tower/dnn/kernel/Momentum_3", (4, 3)),
        ("training/Adam/dnn/kernel/m", (4, 3)),
        ("training_1/RMSprop/dnn/bias/rms", (3,)),
        ("bn/moving_mean/biased", (3,)),
        ("dnn/kernel/Adafactor", (4,)),
        ("dnn/kernel/Adafactor_1", (3,)),
        ("dnn/kernel_slot_vr", (4,)),
        ("dnn/bias_slot_v", (3,)),
        ("bn/moving_mean/local_step", ()),
    ],
)
def test_classify_tensor_named_after_a_variable_is_its_slot(key: str, shape: tuple[int, ...]) -> None:
    assert role_of(key, shape) is Role.SLOT_VARIABLE


@pytest.mark.parametrize(
    ("key", "shape", "dtype", "role"),
    [
        ("beta1_power_1", (), "float32", Role.OPTIMIZER),
        ("tower/beta2_power", (), "float32", Role.OPTIMIZER),
        ("training/Adam/beta_1", (), "float32", Role.OPTIMIZER),
        ("training/Adam/Variable_7", (4, 3), "float32", Role.OPTIMIZER),
        ("training/Adam/iter", (), "int64", Role.STEP),
        ("OptimizeLoss/learning_rate", (), "float32", Role.OPTIMIZER),
        ("current_loss_scale", (), "float32", Role.OPTIMIZER),
        ("good_steps", (), "int64", Role.OPTIMIZER),
        ("Adam_1/lr", (), "float32", Role.OPTIMIZER),
        ("RMSprop/iterations", (), "int64", Role.STEP),
        ("dnn/learning_rate", (3,), "float32", Role.MODEL_WEIGHT),
        ("dnn/kernel/g", (3,), "float32", Role.MODEL_WEIGHT),
        ("nothing_slot_vr", (4,), "float32", Role.MODEL_WEIGHT),
        ("global_step", (), "int64", Role.STEP),
        ("net/global_step", (), "int32", Role.STEP),
        ("net/global_step", (3,), "float32", Role.MODEL_WEIGHT),
        ("w/ExponentialMovingAverage", (7,), "float32", Role.MOVING_AVERAGE),
        ("w/ExponentialMovingAverage:0", (7,), "float32", Role.MOVING_AVERAGE),
        ("w/ExponentialMovingAverage/biased", (7,), "float32", Role.OPTIMIZER),
        ("dnn/kernel/projection", (3, 2), "float32", Role.MODEL_WEIGHT),
        ("training/kernel", (4, 3), "float32", Role.MODEL_WEIGHT),
        ("other/kernel", (4, 3), "float32", Role.MODEL_WEIGHT),
        ("dnn", (4, 3), "float32", Role.MODEL_WEIGHT),
    ],
)
def test_classify_by_name(key: str, shape: tuple[int, ...], dtype: str, role: Role) -> None:
    assert role_of(key, shape, dtype) is role


KERNEL, SHADOW = "kernel", "shadow kernel"
TRACKED: Tree = {
    "_variables": {"0": "iterations", "1": KERNEL, "2": "momentum"},
    "_trainable_variables": {"0": KERNEL, "1": "only trained"},
    "_iterations": "iterations",
    "_learning_rate": "learning rate",
    "_model_variables_moving_average": {"0": "moved"},
    "more": {"inner": "scale"},
}
TRAINING: Tree = {
    "model": {
        "layer": {"kernel": KERNEL, "seed_generator": {"state": "seed", "inner": {"more": "seed of seeds"}}},
        "noise": {"state": variable("state", "noise/seed_generator_state")},
        "old": variable("old", "net/kernel/ExponentialMovingAverage"),
        "_metrics": {"0": {"total": "total", "kernel": KERNEL}},
        "optimizer": TRACKED,
    },
    "step": "step",
    "save_counter": "saves",
    "ema": {"kernel": SHADOW, "metrics": {"0": "total of the shadow"}, "step": "step"},
    "net": {"step": "a step of its own", "ema": {"kernel": "no shadow"}},
}
ROLES = {
    Role.MODEL_WEIGHT: {KERNEL, "only trained", "a step of its own", "no shadow"},
    Role.MOVING_AVERAGE: {"moved", SHADOW, "old"},
    Role.SLOT_VARIABLE: {"momentum"},
    Role.OPTIMIZER: {"iterations", "learning rate", "scale"},
    Role.STEP: {"step"},
    Role.METRIC: {"total", "total of the shadow"},
    Role.RANDOM_SEED: {"seed", "seed of seeds", "state"},
    Role.OBJECT_GRAPH: {"_CHECKPOINTABLE_OBJECT_GRAPH"},
    Role.OTHER: {"saves", "of no object"},
}


def roles_of(graph: ObjectGraph) -> dict[Role, set[str]]:
    keys = [key for keys in ROLES.values() for key in keys]
    found = classify_tensors({key: entry_of(key) for key in keys}, graph)
    assert [*found] == keys
    return {role: {key for key, its in found.items() if its is role} for role in Role}


def test_classify_by_objects_gives_a_shared_variable_the_first_of_its_roles() -> None:
    assert roles_of(graph_of(TRAINING)) == ROLES


def test_classify_an_optimizer_of_any_attribute_by_what_it_holds() -> None:
    """Without a part of what an optimizer of Keras 3 has, an object of the model's is a layer."""
    trainer = {**TRAINING, "model": {**TRAINING["model"], "optimizer": {}, "trainer": TRACKED}}
    assert roles_of(graph_of(trainer)) == ROLES
    part = {name: item for name, item in TRACKED.items() if name != "_iterations"}
    layer = {**TRAINING, "model": {**TRAINING["model"], "optimizer": {}, "trainer": part}}
    weights = {"only trained", "iterations", "momentum", "learning rate", "moved", "scale"}
    assert roles_of(graph_of(layer))[Role.MODEL_WEIGHT] == ROLES[Role.MODEL_WEIGHT] | weights


def test_classify_without_any_object_gives_no_role() -> None:
    assert roles_of(ObjectGraph(nodes=()))[Role.OTHER] == {
        key for role, keys in ROLES.items() for key in keys if role is not Role.OBJECT_GRAPH
    }
