"""Private and undocumented APIs of other packages: one module for each package, one function for each use.

Each says why the public API is not enough, and which change would end the need. The tests in
tests/redraw/compat fail if such an API changes.
"""
