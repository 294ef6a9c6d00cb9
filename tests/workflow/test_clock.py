"""Files from the future: dated now, and no others."""

import os
import time
from pathlib import Path

from workflow.clock import TOLERATED, date_at_present


def test_only_files_ahead_of_the_clock_are_dated_anew(tmp_path: Path) -> None:
    now = time.time()
    moments = {"ahead": now + 4e6, "little": now + TOLERATED / 2, "past": now - 4e6}
    for name, moment in moments.items():
        path = tmp_path / "variants" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        os.utime(path, (moment, moment))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert date_at_present(tmp_path) == 1
    dated = {name: (tmp_path / "variants" / name).stat().st_mtime for name in moments}
    assert now - 1 <= dated["ahead"] <= time.time()
    assert all(abs(dated[name] - moments[name]) < 1e-3 for name in ("little", "past"))
    assert date_at_present(tmp_path) == 0 == date_at_present(tmp_path / "no such folder")
