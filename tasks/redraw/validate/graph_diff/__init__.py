"""The graph that trains and the graph that serves, side by side: what vanished, what took its place.

    definition ─► training.py ──┐
                                ├─► compare.py ─► Comparison ─► the check, JSON, picture.py
    SavedModel ─► serving_graph ┘

Both are flattened (function calls and control flow opened up), the layers of both are
known by the names that they were given, and operations are matched by scope and type.
"""
