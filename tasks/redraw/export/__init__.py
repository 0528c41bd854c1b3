"""Redraw the graph for inference, move a checkpoint's weights under it, write a SavedModel.

The graph and the weights are handled separately: the graph is drawn with variables that are
declared and never allocated, each is matched with its tensor in the checkpoint, and the
bytes of only those tensors are copied from file to file. So an export takes a second or two
more than a copy of the served weights, and no memory for them.

<out>/                saved_model.pb, variables/, assets/, assets.extra/
<out>.ledger.json     the restore ledger
<out>.files.json      every file with its checksums
<out>.json            the export's record

graph/     draw the inference graph
weights/   map served variables to checkpoint keys, copy their bytes
"""
