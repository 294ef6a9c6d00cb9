"""In the environment of Bring Reason to Vision: run its script once per job, all in one process.

python run_br2v.py JOBS.json CHECKOUT, JOBS a list of command lines for CHECKOUT/merge.py
"""

import json
import runpy
import sys
from pathlib import Path

import torch

checkout = Path(sys.argv[2]).resolve()
sys.path.insert(0, str(checkout))
for arguments in json.loads(Path(sys.argv[1]).read_text()):
    torch.manual_seed(0)  # the script sets none; a fresh process would start from one fixed seed as well
    sys.argv = [str(checkout / "merge.py"), *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")
