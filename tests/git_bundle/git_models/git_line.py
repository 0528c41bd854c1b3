"""A straight line whose definition lies in a git bundle."""

from sample_models.line_module import LineDefinition


class GitLineDefinition(LineDefinition):
    """The same line."""
