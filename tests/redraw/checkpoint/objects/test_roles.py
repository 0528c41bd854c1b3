"""What tensors are there for whose checkpoint knows them only by name."""

from __future__ import annotations

import pytest

from redraw.checkpoint.bundle.entries import TensorEntry
from redraw.checkpoint.objects.roles import Role, classify_tensors

WEIGHTS = {"dnn/kernel": (4, 3), "dnn/bias": (3,), "bn/moving_mean": (3,), "w": (7,)}


def role_of(key: str, shape: tuple[int, ...], dtype: str = "float32") -> Role:
    """Its role next to `WEIGHTS`."""
    forms = {name: (form, "float32") for name, form in WEIGHTS.items()} | {key: (shape, dtype)}
    if key.endswith(":0"):
        forms = {f"{name.removesuffix(':0')}:0": form for name, form in forms.items()}
    entries = {
        name: TensorEntry(key=name, dtype=held, shape=form, shard=0, offset=0, size=0, crc32c=0)
        for name, (form, held) in forms.items()
    }
    return classify_tensors(entries, None)[key]


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
