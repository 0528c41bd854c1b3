"""The straight line, whose publication another person approves than who starts the run."""

from sample_models.line_module import LineDefinition


class AskingLine(LineDefinition):
    approval_by_another = True
