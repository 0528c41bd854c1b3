"""The event files in which a training notes what it did at which step, for the time of each step.

Source:
    https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/event.proto
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from redraw.checkpoint.bundle.encoding import MalformedError
from redraw.checkpoint.bundle.messages import Event, parse_message
from redraw.checkpoint.formats.tf_record import read_records
from redraw.records.times import is_moment

logger = logging.getLogger(__name__)

# What the names of event files begin with.
EVENT_FILES = "events.out.tfevents."
# Of a session's log. A start is noted with the step of the checkpoint that training resumes from.
_START, _CHECKPOINT = 1, 3
# Of an event its time is wanted, not its pictures.
_LONGEST, _MOST_STEPS = 16 << 20, 1_000_000


def times_in_event_files(paths: Iterable[Path]) -> dict[int, float]:
    """When each step was.

    Args:
        paths: Event files of one training, the oldest first.

    Returns:
        Step to seconds since 1970 UTC: of the last checkpoint of it that is noted, or else of
        the first event. Times that a record cannot have are left out.
    """
    seen: dict[int, float] = {}
    saved: dict[int, float] = {}
    for path in paths:
        try:
            for record in read_records(path, _LONGEST):
                event = parse_message(Event, record)
                if not is_moment(event.wall_time) or len(seen) + len(saved) >= _MOST_STEPS:
                    continue
                if event.session_log.status == _CHECKPOINT:
                    saved[event.step] = event.wall_time
                elif event.session_log.status != _START:
                    seen.setdefault(event.step, event.wall_time)
        except MalformedError as err:
            # A training that was killed leaves its last event unfinished.
            logger.info("%s ends early: %s", path, err)
    return seen | saved
