"""The links of a study's chain, in their order.

checkpoints -> recipes -> spectra -> questions -> answers -> scores -> text -> one table -> tables and summary
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.chain import results, sources, spectra
from benchmarks.chain.study import Chain


@dataclass(frozen=True)
class Link:
    """One link: its name, what computes it again (returns what was found), and whether that takes long."""

    name: str
    check: Callable[[Chain], str]
    slow: bool = False


LINKS = (
    Link("checkpoints", sources.checkpoints),
    Link("recipes", sources.recipes),
    Link("spectra", spectra.files),
    Link("spectra again", spectra.again, slow=True),
    Link("questions", sources.questions),
    Link("answers", sources.answers),
    Link("scores", results.score_files),
    Link("scored again", results.scores_again, slow=True),
    Link("text answers", results.text_files),
    Link("text scored again", results.text_again, slow=True),
    Link("one table", results.one_table, slow=True),
    Link("tables", results.tables, slow=True),
)
