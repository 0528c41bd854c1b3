"""Read, choose and keep checkpoints of every format.

bundle/      the TensorBundle format, read and written without TensorFlow
objects/     the object graph of a checkpoint, and the role of each variable
formats/     all formats of checkpoints behind one interface
catalogue/   the checkpoint catalogue
"""
