"""The small regression, trained in bfloat16 and compiled by XLA."""

from sample_models.dense_plain import DensePlain as _Plain
from tasks.definition import TrainingPlan


class DenseBfloat16(_Plain):
    training = TrainingPlan(steps=20, evaluate_every=10, mixed_precision="bfloat16", jit_compile=True)
