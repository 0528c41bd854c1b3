"""Private and undocumented APIs of Airflow and its providers, and differences between Airflow releases.

Each use has one function, which says which version ends it. tests/redraw_airflow/test_compat.py fails if such
an API changes. The functions import Airflow themselves, because Airflow loads this module while it starts.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from cachetools import TTLCache, cached

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from airflow.sdk import DAG

_logger = logging.getLogger(__name__)

_BUNDLES = ("dag_processor", "dag_bundle_config_list")
# After this time a bundle that could not be opened is tried again.
_BUNDLES_SECONDS = 60.0


def airflow_configuration() -> Any:
    """Airflow's configuration, in any of its processes: the Task SDK's, which imports nothing of the core."""
    from airflow.sdk.configuration import conf

    return conf


def bundle_folders() -> tuple[str, ...]:
    """The folders of Airflow's DAG bundles on this machine; none outside Airflow's processes.

    The DAG processor and tasks import only from their own bundle, the API server from none, and Airflow has
    no public way to find these folders.
    """
    return _bundle_folders() if "airflow" in sys.modules else ()


@cached(TTLCache[Hashable, tuple[str, ...]](1, _BUNDLES_SECONDS), lock=threading.Lock())
def _bundle_folders() -> tuple[str, ...]:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    folders = []
    try:
        manager: Any = DagBundlesManager()  # type: ignore[no-untyped-call]
        names = [bundle["name"] for bundle in airflow_configuration().getjson(*_BUNDLES) or []]
    except Exception as err:  # a bundle class may need a provider that is missing
        _logger.warning("no DAG bundle is searched for definitions: %s", err)
        return ()
    for name in names:
        try:
            folders.append(str(manager.get_bundle(name).path))
        except Exception as err:  # its arguments or its connection may be wrong
            _logger.warning("the DAG bundle %r is not searched for definitions: %s", name, err)
    return tuple(folders)


def dag_param(dag: DAG, name: str) -> Any:
    """A field of the DAG's form as an operator's argument: keeps its type, which a template would not.

    Airflow before 3.2.2 cannot store what `dag.param` returns for a templated argument, and refuses the DAG:
    "Object of type ArgNotSet is not JSON serializable". Remove `StorableParam` with the support of 3.2.1.
    """
    import airflow
    from airflow.sdk.definitions.param import DagParam
    from packaging.version import Version

    if Version(airflow.__version__) >= Version("3.2.2"):
        return dag.param(name)

    class StorableParam(DagParam):
        def serialize(self) -> dict[str, Any]:
            return {"dag_id": self.current_dag.dag_id, "name": self._name}

    return StorableParam(dag, name)


def is_task_timeout(err: BaseException) -> bool:
    """Whether a task has exceeded its `execution_timeout`; the error is not an `Exception`.

    Airflow 3.1 has the class only in its core, which a task should not import. Import the class when 3.1 is
    no longer supported.
    """
    return type(err).__name__ == "AirflowTaskTimeout"


def mask_secrets(text: str) -> str:
    """Replace what Airflow knows to be secret with stars, as in a task's log.

    Airflow only has this processor of its logs. Replace it when Airflow has a public function.
    """
    from airflow.sdk.log import mask_logs

    return str(mask_logs(None, "", {"event": text})["event"])


def rendered_name(operator: KubernetesPodOperator) -> str:
    """A pod's rendered name, in the form that Kubernetes accepts.

    The operator sets it in `execute`. A stage calls `execute_sync` or `execute_async` instead, so it needs
    this.
    """
    return str(operator._set_name(operator.name))


def was_killed(operator: KubernetesPodOperator) -> bool:
    """Whether the operator's `on_kill` has deleted the pod; there is no public attribute for it."""
    return bool(operator._killed)
