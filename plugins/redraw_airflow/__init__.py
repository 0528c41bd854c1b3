"""The Airflow side of Redraw: a thin operator for each stage, which runs in a process of its own.

    operators ─► stage_process ─► python -m redraw STAGE
                      │  request on stdin, record on stdout, log lines on stderr
                      └─ credentials: access tokens over a private socket

Nothing here imports TensorFlow, Keras or a Google library before a running stage needs it.
"""

from redraw.lazy import lazy_names

# Each name of __init__.pyi is imported at its first use, because every Airflow process loads the plugin.
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
