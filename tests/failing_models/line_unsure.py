"""The straight line, with a threshold for what no evaluation measures: the check has to be waived."""

from redraw.definition import Threshold
from sample_models.line_module import LineDefinition


class UnsureLine(LineDefinition):
    thresholds = {"perplexity": Threshold(at_most=1.0)}
