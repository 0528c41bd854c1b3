"""What shows only when a model is asked: that it serves as a server's model must.

A layer that still trains answers differently the second time, or next to other rows, or
changes its variables; and a request at the edge must not take the server down. All of it is asked
of the serving process.
"""
