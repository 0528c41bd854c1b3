"""Redraw the graph for inference, move a checkpoint's weights under it, write a SavedModel.

The graph and the weights part ways: the graph is drawn with variables that are declared
and never allocated, each is given its source in the checkpoint, and the bytes of just
those tensors are copied from file to file. So an export costs a second or two more than
a copy of what it serves, and no memory for it.

<out>/                saved_model.pb, variables/, assets/, assets.extra/
<out>.ledger.json     the restore ledger
<out>.files.json      every file with its checksums
<out>.json            the export's record

graph/     draw the inference graph
weights/   map served variables to checkpoint keys, copy their bytes
"""
