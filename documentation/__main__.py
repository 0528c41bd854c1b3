"""`python -m documentation reference`: write the generated pages."""

from pathlib import Path

from documentation.reference import write_reference

write_reference(Path(__file__).parent.parent / "docs" / "reference")
