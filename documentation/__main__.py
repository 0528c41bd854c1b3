"""Make the documentation: `python -m documentation reference` or `python -m documentation site`."""

import argparse
import sys

from documentation.reference import write_reference
from documentation.site import ROOT, SiteError, build_site

_parser = argparse.ArgumentParser(prog="documentation", description=__doc__)
_parser.add_argument("what", choices=("reference", "site"))
if _parser.parse_args().what == "reference":
    write_reference(ROOT / "docs" / "reference")
else:
    try:
        sys.stdout.write(f"{build_site() / 'index.html'}\n")
    except SiteError as err:
        sys.exit(f"docs: {err}")
