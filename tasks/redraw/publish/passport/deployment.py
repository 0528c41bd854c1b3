"""A version as configuration for serving on Kubernetes: KServe, and the values of a Helm chart."""

from __future__ import annotations

from redraw.publish.passport.text import encode_yaml
from redraw.records import Release


def encode_inference_service(release: Release) -> str:
    """KServe's `InferenceService` of a version.

    TensorFlow Serving loads folders named by a number below its base path, here `/mnt/models`. KServe would
    unpack a single `storageUri` without such a folder.

    Source:
        https://kserve.github.io/website/docs/model-serving/storage/multiple-storage-uris
    """
    return encode_yaml(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                # Kubernetes allows hyphens in names, but no underscores.
                "name": release.model.replace("_", "-").rstrip("-"),
                "annotations": {
                    "redraw-version": str(release.version),
                    "redraw-digest": release.digest,
                    "redraw-checkpoint-digest": release.checkpoint.digest,
                },
            },
            "spec": {
                "predictor": {
                    "model": {"modelFormat": {"name": "tensorflow"}},
                    "storageUris": [{"uri": release.uri, "path": f"/mnt/models/{release.version}"}],
                }
            },
        }
    )


def encode_helm_values(release: Release) -> str:
    """Values for a chart; the version is a text, because Helm would parse such a long number as a float."""
    return encode_yaml(
        {
            "model": {
                "name": release.model,
                "version": str(release.version),
                "uri": release.uri,
                "digest": release.digest,
                "sizeBytes": release.size_bytes,
            }
        }
    )
