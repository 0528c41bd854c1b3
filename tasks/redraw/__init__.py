"""The path from a checkpoint to a served model, a stage a package.

    train ─► checkpoint ─► export ─► validate ─► push
      │          │            │          │         │
      │          │            │          │         └ bucket: an immutable version, then the live pointer
      │          │            │          └ a report: every check by name, with its evidence
      │          │            └ SavedModel: the graph redrawn for inference, and a restore ledger
      │          └ one explicit, verified checkpoint, recorded in the checkpoint catalogue
      └ checkpoints and metrics (resumes where it was stopped)

Every stage takes a request (`redraw.requests`), writes its result, and returns a
record of it (`redraw.records`) that the next stage reads. Nothing here knows Airflow:
`python -m redraw STAGE` runs any of it by hand, in a container or under an operator.
"""

from redraw.lazy import lazy_names

__version__ = "0.2.0"

# The names in __init__.pyi, each imported when it is first used: TensorFlow and buckets cost seconds.
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
