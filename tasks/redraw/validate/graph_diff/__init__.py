"""Compare the graph that trains with the graph that serves: what was removed, what replaced it.

    definition ─► training.py ──┐
                                ├─► compare.py ─► Comparison ─► the check, JSON, picture.py
    SavedModel ─► serving_graph ┘

Both graphs are flattened: function calls and control flow are inlined. Layers are recognized by their
names, and operations are matched by scope and type.
"""
