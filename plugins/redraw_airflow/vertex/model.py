"""A model in Vertex AI's Model Registry, and how its versions are distinguished.

Imported with the operator when a DAG file is parsed, so nothing of Google's is imported at its top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

# Vertex AI numbers versions itself; this label says which of ours one is.
VERSION_LABEL = "redraw-version"


@dataclass(frozen=True, kw_only=True)
class VertexModel:
    """A model of Vertex AI that versions are registered under.

    Attributes:
        hook: The Google provider's.
        project_id: The Google Cloud project.
        region: Such as `europe-west4`.
        model_id: The last part of its resource name: lower-case letters, digits, `_` and `-`.
        timeout: Seconds that a registration may take.
    """

    hook: ModelServiceHook
    project_id: str
    region: str
    model_id: str
    timeout: float

    @property
    def place(self) -> dict[str, str]:
        """Project and region, as the hook's methods take them."""
        return {"project_id": self.project_id, "region": self.region}

    def numbered(self, version: Any) -> dict[str, str]:
        """One of its versions, as the hook's methods take it."""
        return {**self.place, "model_id": f"{self.model_id}@{version.version_id}"}

    def versions(self) -> list[Any]:
        """Its versions, as Vertex AI describes them; none where there is no such model yet."""
        from google.api_core.exceptions import NotFound

        try:
            return list(self.hook.list_model_versions(**self.place, model_id=self.model_id))
        except NotFound:
            return []


def numbered_name(version: Any) -> str:
    """A version's resource name with Vertex AI's number of it, as `projects/…/models/mnist@3`."""
    return f"{version.name.partition('@')[0]}@{version.version_id}"
