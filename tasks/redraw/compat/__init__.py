"""Private and undocumented APIs of other packages: one module for each package, one function for each use.

Each says why the public API does not do, and which version would end the need. The tests in
tests/redraw/compat fail when such an API changes.
"""
