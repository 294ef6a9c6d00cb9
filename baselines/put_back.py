"""Put back: V's vision tower and projector on the language model of B or R.

A control of this project: is tau_V needed at all? `of` says whose: where perception survives with B's
language model put back (base), V sees with its tower alone, and a merge has little of V's to lose; with R's
(lrm) it is the most reasoning that V's tower can be put in front of. What is in scope is taken whole;
embeddings and head stay V's, as they hold its picture tokens. Deviation from a true exchange of language
models: what the scope leaves out stays V's, too, so give the variant `scope: mat+bias+norm`.
"""

from typing import Literal

from frism.method import Array, Site

GRANULARITY = "model"
ARITHMETIC = True


def merge(site: Site, *, of: Literal["base", "lrm"] = "base") -> Array:
    """Return B's or R's tensor, fp32."""
    return site.base if of == "base" else site.lrm
