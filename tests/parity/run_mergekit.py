"""In mergekit's environment: run its command line once per job, all in one process to import it once.

python run_mergekit.py JOBS.json, a list of {"config": FILE, "out": FOLDER, "options": [...]}
"""

import json
import sys
from pathlib import Path

from mergekit.scripts.run_yaml import main

for job in json.loads(Path(sys.argv[1]).read_text()):
    main([job["config"], job["out"], *job["options"]], standalone_mode=False)
