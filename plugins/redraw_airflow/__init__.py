"""What knows Airflow: one thin operator per stage, each run in a process of its own.

    operators ─► stage_process ─► python -m redraw STAGE
                      │  request on stdin, record on stdout, log lines on stderr
                      └─ credentials: access tokens over a private socket

Nothing here imports TensorFlow, Keras or a Google library until a running stage asks.
"""

from redraw.lazy import lazy_names

# The names in __init__.pyi, each imported when it is first used: Airflow loads the plugin in every process.
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
