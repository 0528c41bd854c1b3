"""An operator that registers published versions as versions of a model in Vertex AI.

    register = RegisterVertexModelOperator(
        task_id="register", release=push.output, region="europe-west4",
        container_image="europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
    )

It imports the Google provider's hook only when it runs, so that other DAGs do not import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from redraw.errors import InvalidRequest, ObjectConflict, RedrawError, VersionNotFound
from redraw.names import ModelName
from redraw.publish.bucket.layout import read_release
from redraw.publish.live.pointer import read_pointer
from redraw.records import Release
from redraw.records.base import Record
from redraw.storage.opening import Storage, open_storage
from redraw.uri import BucketUri
from redraw_airflow.operators.arguments import Kind, integer, mapping, required, seconds, text, version
from redraw_airflow.operators.inputs import RecordOrUri, place
from redraw_airflow.operators.places import PlacesOperator
from redraw_airflow.settings import DEFAULT_CONNECTION, MODEL_BUCKET
from redraw_airflow.stages.credentials import using_connection
from redraw_airflow.vertex.registry import VertexModel, move_aliases, register_release

if TYPE_CHECKING:
    from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

_UPLOAD_SECONDS = 1800.0


@dataclass(frozen=True, kw_only=True)
class VertexRegistration(Record):
    """A published version in Vertex AI.

    Attributes:
        model: The definition's name.
        version: Redraw's version.
        digest: The digest of the version's files.
        name: Vertex AI's resource name, with Vertex AI's number of the version after an `@`.
        created: Whether this run registered it; otherwise it was registered already.
        aliases: Alias to Vertex AI's number of the version that has it now.
    """

    model: str
    version: int
    digest: str
    name: str
    created: bool
    aliases: Mapping[str, str]


class RegisterVertexModelOperator(PlacesOperator):
    """Register a published version with Vertex AI, and let its aliases follow the live pointer.

    The operator finds a registered version by its labels and leaves it as it is, so the task may run again.
    Do not run two such tasks of one model at once: Vertex AI cannot decide which one wins.

    Its XCom is a `VertexRegistration` as JSON values.

    Args:
        container_image: The image that serves it.
        region: Vertex AI's region, such as `europe-west4`.
        release: The output of a push, or of an operator that moves the live pointer.
        model: Without `release`: the definition's name.
        version: Without `release`: the version.
        bucket: `gs://` URI of the model bucket.
        vertex_model: The model's ID in Vertex AI; the definition's name by default.
        project_id: The Google Cloud project; the connection's by default.
        gcp_conn_id: The Airflow connection, for Vertex AI and for the bucket.
        impersonation_chain: Service accounts to impersonate in Vertex AI, in the Google provider's form.
        upload_timeout: Seconds that Vertex AI may take to register a version.
        kwargs: Those of `BaseOperator`.

    Example:
        >>> register = RegisterVertexModelOperator(
        ...     task_id="register",
        ...     release=push.output,
        ...     region="europe-west4",
        ...     container_image="europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
        ... )
    """

    template_fields: Sequence[str] = (
        "container_image",
        "region",
        "release",
        "model",
        "version",
        "bucket",
        "vertex_model",
        "project_id",
        "gcp_conn_id",
        "impersonation_chain",
    )
    kinds: ClassVar[Mapping[str, Kind]] = {
        **dict.fromkeys(("container_image", "region", "gcp_conn_id"), required(text)),
        **dict.fromkeys(("model", "bucket", "vertex_model", "project_id"), text),
        "release": mapping,
        "version": version,
        "upload_timeout": seconds,
    }
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        container_image: str,
        region: str,
        release: Mapping[str, Any] | None = None,
        model: str | None = None,
        version: int | RecordOrUri | None = None,
        bucket: str | None = None,
        vertex_model: str | None = None,
        project_id: str | None = None,
        gcp_conn_id: str = DEFAULT_CONNECTION,
        impersonation_chain: str | Sequence[str] | None = None,
        upload_timeout: timedelta | float = _UPLOAD_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.keep_arguments(locals())

    def execute(self, context: Context) -> dict[str, Any]:
        """Register the version, and move the aliases.

        Args:
            context: Airflow's context.

        Returns:
            The `VertexRegistration`, as JSON values.

        Raises:
            AirflowFailException: The version is not published, or the bucket or Vertex AI refuses.
            AirflowException: The bucket or Vertex AI does not answer; a retry may help.
        """
        with _as_task_failures():
            self.take_allowed_arguments(context)
            storage = self._open_bucket()
            release = self._published(storage)
            target = self._target(release.model)
            name, created = register_release(target, release, self.container_image)
            status = "registered" if created else "is registered"
            self.log.info("%s %s %s: %s", release.model, release.version, status, name)
            # Read the pointer last, so that it is as new as possible.
            aliases = move_aliases(target, read_pointer(storage, release.model))
        return VertexRegistration(
            model=release.model,
            version=release.version,
            digest=release.digest,
            name=name,
            created=created,
            aliases=aliases,
        ).to_json()

    def open_hook(self) -> ModelServiceHook:
        """The Google provider's hook."""
        from airflow.providers.google.cloud.hooks.vertex_ai.model_service import ModelServiceHook

        chain = self.impersonation_chain
        return ModelServiceHook(gcp_conn_id=self.gcp_conn_id, impersonation_chain=chain)

    def _open_bucket(self) -> Storage:
        with using_connection(self.gcp_conn_id):
            return open_storage(BucketUri(place("bucket", self.bucket, self.gcp_conn_id, MODEL_BUCKET)))

    def _published(self, storage: Storage) -> Release:
        """The bucket's current release record, checked against the operator's argument."""
        argument = self.release or {"model": self.model, "version": self.version}
        model, version = argument.get("model"), integer("version", argument.get("version"))
        if not model or version is None:
            raise InvalidRequest(
                "release: expected the record of a push or of the live pointer, or model and version, got"
                f" model {model!r} and version {version!r}. Pass push.output as release, or both model and"
                " version."
            )
        release = read_release(storage, ModelName(model), version)
        if release is None or release.pruned:
            raise VersionNotFound(
                f"{storage.uri}/{model}: expected the published version {version}, got"
                f" {'none' if release is None else 'a pruned version'}. Choose a version that 'redraw"
                " releases' lists."
            )
        # A live pointer's record has no digest to check against.
        if argument.get("digest", release.digest) != release.digest:
            raise ObjectConflict(
                f"{release.uri}: expected the digest {argument['digest']} of the release record in the"
                f" argument, got {release.digest}. The record is of another bucket. Correct the argument"
                " bucket."
            )
        return release

    def _target(self, model: str) -> VertexModel:
        hook = self.open_hook()
        project_id = self.project_id or hook.project_id
        if not project_id:
            raise InvalidRequest(
                "project_id: expected a Google Cloud project, got none, and connection"
                f" {self.gcp_conn_id!r} has none. Pass project_id, or set the project of the connection."
            )
        return VertexModel(
            hook=hook,
            project_id=project_id,
            region=self.region,
            model_id=self.vertex_model or model,
            timeout=self.upload_timeout or _UPLOAD_SECONDS,
        )


@contextmanager
def _as_task_failures() -> Iterator[None]:
    """Turn errors that a retry may fix into `AirflowException`, and others into `AirflowFailException`."""
    from google.api_core import exceptions

    temporary = (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.Aborted,
        # The last try requested the model's first version, which was not listed yet.
        exceptions.AlreadyExists,
        exceptions.RetryError,
        # The operation took too long; it may be done at the next try.
        TimeoutError,
    )
    try:
        yield
    except RedrawError as err:
        raise (AirflowException if err.retryable else AirflowFailException)(str(err)) from err
    except temporary as err:
        raise AirflowException(f"Vertex AI: expected an answer, got {err}. Run the task again.") from err
    except exceptions.GoogleAPICallError as err:
        raise AirflowFailException(
            f"Vertex AI: the request was refused: {type(err).__name__}: {err}. Correct the operator's"
            " arguments, or the permissions of the connection's account."
        ) from err
