"""Run `vllm serve` as the child of a job: it ends with the job, killed or not, and its children with it.

python -m benchmarks.answering.vllm_serving PARENT FOLDER [options of vllm serve]
"""

import os
import signal
import sys
import threading
import time

from benchmarks.answering.orphans import is_alive


def main() -> None:
    """Serve until the process PARENT is gone. This process must lead a group of its own."""
    parent = int(sys.argv[1])

    def watch() -> None:
        while is_alive(parent):
            time.sleep(1)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    sys.argv = ["vllm", "serve", *sys.argv[2:]]
    from vllm.entrypoints.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
