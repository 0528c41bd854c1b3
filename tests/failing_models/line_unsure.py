"""The straight line, with a threshold for what no evaluation measures: the check has to be waived."""

from sample_models.line_module import LineDefinition

from redraw.definition import Threshold


class UnsureLine(LineDefinition):
    thresholds = {"perplexity": Threshold(at_most=1.0)}
