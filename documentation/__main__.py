"""Make the documentation, or check a release: `python -m documentation reference|site|release [TAG]`."""

import argparse
import sys

from documentation.reference import write_reference
from documentation.release import ReleaseError, check_release
from documentation.site import ROOT, SiteError, build_site

_parser = argparse.ArgumentParser(prog="documentation", description=__doc__)
_parser.add_argument("what", choices=("reference", "site", "release"))
_parser.add_argument("tag", nargs="?", help="of a release: its tag")
_arguments = _parser.parse_args()
try:
    if _arguments.what == "reference":
        write_reference(ROOT / "docs" / "reference")
    elif _arguments.what == "site":
        sys.stdout.write(f"{build_site() / 'index.html'}\n")
    else:
        check_release(ROOT / "dist", _arguments.tag)
except (SiteError, ReleaseError) as err:
    sys.exit(f"{_arguments.what}: {err}")
