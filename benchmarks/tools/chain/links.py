"""List the links of a study's chain, in their order.

checkpoints -> recipes -> spectra -> questions -> answers -> scores -> text -> one table -> tables and summary
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.tools.chain import result_links, source_links, spectrum_link
from benchmarks.tools.chain.chain import Chain


@dataclass(frozen=True)
class Link:
    """Holds one link: its name, its check (which returns the finding), and whether that takes long."""

    name: str
    check: Callable[[Chain], str]
    slow: bool = False


LINKS = (
    Link("checkpoints", source_links.check_checkpoints),
    Link("recipes", source_links.check_recipes),
    Link("spectra", spectrum_link.check_files),
    Link("spectra again", spectrum_link.check_residuals, slow=True),
    Link("questions", source_links.check_questions),
    Link("answers", source_links.check_answers),
    Link("scores", result_links.check_scores),
    Link("scored again", result_links.rescore, slow=True),
    Link("text answers", result_links.check_text),
    Link("text scored again", result_links.rescore_text, slow=True),
    Link("one table", result_links.rebuild_answers, slow=True),
    Link("tables", result_links.rebuild_tables, slow=True),
)
