"""The straight line, with a threshold that no training reaches."""

from sample_models.line_module import LineDefinition

from redraw.definition import Threshold


class FailingLine(LineDefinition):
    thresholds = {"loss": Threshold(at_most=-1.0)}
