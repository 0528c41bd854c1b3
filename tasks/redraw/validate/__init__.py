"""Examine an export before it may be published.

plan.py      every check by name, in the order in which they run
checks/      the checks, by what they look at
subject/     what the checks look at, read once
graph/       the serving graph: what is reachable, and which releases know its operations
graph_diff/  the training graph compared with the serving graph
report/      the report as JSON, as a page and on the terminal
"""
