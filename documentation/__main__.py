"""Make the documentation: `python -m documentation reference`, `site`, or `picture` (of recorded graphs)."""

import argparse
import sys

from documentation.picture import draw_recorded_picture
from documentation.reference import write_reference
from documentation.site import ROOT, SiteError, build_site

_parser = argparse.ArgumentParser(prog="documentation", description=__doc__)
_parser.add_argument("what", choices=("reference", "site", "picture"))
_what = _parser.parse_args().what
if _what == "reference":
    write_reference(ROOT / "docs" / "reference")
elif _what == "picture":
    draw_recorded_picture(ROOT / "docs" / "pictures" / "recorded.graphs.svg")
else:
    try:
        sys.stdout.write(f"{build_site() / 'index.html'}\n")
    except SiteError as err:
        sys.exit(f"docs: {err}")
