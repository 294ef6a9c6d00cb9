"""Say in a sentence that the system refuses what Snakemake does before a job: to delete its old outputs.

Snakemake would end with a traceback through its own code, as for a fault of the workflow.
"""

from functools import wraps
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.jobs import Job

from frism.files import explain_refusal


def explain_refusals() -> None:
    """Put the sentence in the traceback's place, for this process."""
    remove: Any = Job.remove_existing_output
    if hasattr(remove, "__wrapped__"):
        return

    @wraps(remove)
    async def remove_or_say_why(job: Job) -> None:
        try:
            await remove(job)
        except OSError as error:
            raise WorkflowError(f"error: {explain_refusal(Path(error.filename or '.'), error)}") from None

    Job.remove_existing_output = remove_or_say_why
