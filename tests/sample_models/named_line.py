"""The straight line, from checkpoints that name its two variables."""

from sample_models.line_module import LineDefinition as _Line


class NamedLine(_Line):
    pass
