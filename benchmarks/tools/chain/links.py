"""The links of a study's chain, in their order.

checkpoints -> recipes -> spectra -> questions -> answers -> scores -> text -> one table -> tables and summary
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.tools.chain import result_links, source_links, spectrum_link
from benchmarks.tools.chain.chain import Chain


@dataclass(frozen=True)
class Link:
    """One link: its name, what computes it again (returns what was found), and whether that takes long."""

    name: str
    check: Callable[[Chain], str]
    slow: bool = False


LINKS = (
    Link("checkpoints", source_links.checkpoints),
    Link("recipes", source_links.recipes),
    Link("spectra", spectrum_link.files),
    Link("spectra again", spectrum_link.again, slow=True),
    Link("questions", source_links.questions),
    Link("answers", source_links.answers),
    Link("scores", result_links.score_files),
    Link("scored again", result_links.scores_again, slow=True),
    Link("text answers", result_links.text_files),
    Link("text scored again", result_links.text_again, slow=True),
    Link("one table", result_links.one_table, slow=True),
    Link("tables", result_links.tables, slow=True),
)
