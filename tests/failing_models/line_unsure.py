"""The straight line without examples to ask: what cannot be checked has to be waived."""

from collections.abc import Mapping

from sample_models.line_module import LineDefinition

from redraw.definition import GoldenExamples


class UnsureLine(LineDefinition):
    def golden_examples(self) -> Mapping[str, GoldenExamples]:
        return {}
