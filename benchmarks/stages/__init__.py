"""Run one stage of a study: a command per workflow rule."""

import os

from frism.errors import explain_at_exit

# Before a stage imports a library that reads it: bars of libraries run into each other and into log lines.
for _name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
    os.environ.setdefault(_name, "1")

explain_at_exit()
