"""VLMEvalKit's datasets, touched here alone: its classes on our TSVs, their prompts and their metrics."""

from benchmarks.vlmevalkit.evaluation import Judged, evaluate
from benchmarks.vlmevalkit.loading import build, dataset_class, tree_hash, version
from benchmarks.vlmevalkit.questions import Expected, expected, metric

__all__ = ["Expected", "Judged", "build", "dataset_class", "evaluate", "expected", "metric",
           "tree_hash", "version"]  # fmt: skip
