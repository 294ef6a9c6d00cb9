"""Compare every other method with gates with FRISM itself, on the same questions."""

import pandas as pd

from benchmarks.study.config import StudyConfig
from benchmarks.tables.cells import list_names, make_columns
from benchmarks.tables.comparisons import COMPARED, add_holm, compare_with
from benchmarks.tables.gates.open_gates import ALL
from benchmarks.tables.score_matrix import ScoreMatrix
from frism.method.discovery import find

METHOD = "frism"
COLUMNS = (
    *make_columns("name", "variant", "method", "against", "group"),
    *make_columns("share", "energy", "against_energy"),
    *COMPARED,
)


def build_ablation_rows(study: StudyConfig, energy: pd.DataFrame, *kinds: ScoreMatrix) -> pd.DataFrame:
    """Build a row per ablation and group of benchmarks, against the first variant of FRISM.

    Which comparisons are made follows from the config alone: methods of FAMILY frism, without the controls,
    which the table `contrasts` compares, and further variants of FRISM itself. `difference` is the variant's
    score minus FRISM's. `energy` and `against_energy`: what each injected, over tau_R's. Holm over all rows.
    """
    own = next((v for v, s in study.variants.items() if s.method == METHOD), None)
    injected = energy[energy["layer"] == ALL].set_index("variant")["ratio"]
    rows: list[dict[str, object]] = []
    for variant, settings in study.variants.items() if own else ():
        beside = settings.method is not None and settings.reference is None and variant != own
        ablation = beside and find(str(settings.method)).family == METHOD
        for answers in kinds if ablation else ():
            for heading, benchmarks in answers.by_heading().items():
                names = {"method": settings.method, "against": own, "group": heading,
                         "energy": injected.get(variant), "against_energy": injected.get(own)}  # fmt: skip
                rows.append(compare_with(study, answers, variant, str(own), benchmarks, heading, names))
    return add_holm(rows).reindex(columns=list_names(COLUMNS))
