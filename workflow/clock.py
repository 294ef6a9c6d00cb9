"""Date files from the future at the present: what a clock leaves that ran ahead and was set right.

Snakemake takes an output that is older than its input for a fault of the network's clocks and deletes it, so
a study whose clock once was days ahead could not go on for as many days.
"""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)
TOLERATED = 60.0  # seconds that the clocks of two machines may differ without a word


def date_at_present(folder: Path) -> int:
    """Date every file below `folder` that is more than a minute ahead of the clock at now; return how many.

    Call it before Snakemake looks at the files. A job whose inputs were ahead and whose outputs are not runs
    again, as it would have; its answers and spectra are all there.
    """
    now, changed = time.time(), 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # deleted or replaced in the meantime, or another user's
                file = Path(path, name)
                if file.stat().st_mtime > now + TOLERATED:
                    os.utime(file, (now, now))
                    changed += 1
    if changed:
        log.warning("%d files in %s were dated in the future: dated now.", changed, folder)
    return changed
