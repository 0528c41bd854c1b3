"""`python -m tasks` in a checkout: the same as `redraw`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from redraw.__main__ import main

sys.exit(main())
