"""Search a method's parameters by the tree-structured Parzen estimator, one trial after the other."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.study.search_settings import SearchSettings
from frism.errors import UserError
from frism.method.method import Method

START = 4  # trials at random, before the estimator knows enough
Score = Callable[[int, dict[str, Any]], float]  # trial number, complete parameters -> the higher, the better


def search(
    method: Method, params: Mapping[str, Any], settings: SearchSettings, seed: int, score: Score
) -> None:
    """Score `settings.trials` combinations, each chosen by the scores of those before it (optuna's TPE).

    The same seed and the same scores give the same combinations, so a search that was cut off goes on from
    what its trials stored. Numbers are rounded to four digits, whole ones to whole ones.

    Raises UserError without optuna, and for values that do not go together.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("a search needs the library optuna: pip install 'frism[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions: dict[str, Any] = {
        name: optuna.distributions.CategoricalDistribution(values)
        for name, values in settings.choices.items()
    }
    for name, r in settings.ranges.items():
        whole = method.parameters[name].type == "int"
        distributions[name] = (
            optuna.distributions.IntDistribution(int(r.low), int(r.high), log=r.log)
            if whole
            else optuna.distributions.FloatDistribution(r.low, r.high, log=r.log)
        )
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=START)
    )
    for number in range(settings.trials):
        trial = study.ask(distributions)
        chosen = {
            name: float(f"{value:.4g}") if isinstance(value, float) else value
            for name, value in trial.params.items()
        }
        study.tell(trial, score(number, method.validate({**params, **chosen})))
