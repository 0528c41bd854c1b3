"""The small regression, trained in bfloat16 and compiled by XLA."""

from redraw.definition import TrainingPlan
from sample_models.dense_plain import DensePlain as _Plain


class DenseBfloat16(_Plain):
    training = TrainingPlan(steps=20, evaluate_every=10, mixed_precision="bfloat16", jit_compile=True)
