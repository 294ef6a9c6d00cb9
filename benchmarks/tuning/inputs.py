"""Gather what fitting is given, and what of it a recipe's identity depends on."""

from pathlib import Path
from typing import Any

from benchmarks.calibration import load as calibrations
from benchmarks.study.calibration_settings import CalibrationSettings
from frism.compute import Compute
from frism.method.method import Method
from frism.method.recipe import Recipe


def gather_inputs(
    method: Method,
    calibration: CalibrationSettings | None,
    seed: int,
    compute: Compute,
    reference: Path | None,
) -> tuple[dict[str, Any], str]:
    """What fitting is given beside triple and parameters, and what of it a recipe's identity depends on.

    A recipe belongs to its inputs: what it was calibrated on, in which precision and on what kind of device,
    and what it started from are part of it.
    """
    supplied, identity = _reference(reference), [""]
    started = supplied.pop("reference_key", "")
    if method.needs_calibration:
        supplied["calibration"] = calibrations.load(calibration or CalibrationSettings(), seed)
        identity = [supplied["calibration"].digest]
    if "compute" in method.fit_names:
        supplied["compute"] = compute
        identity.append(f"{compute.dtype} on {compute.torch_device.type}")
    return supplied, ":".join([*identity, started])


def _reference(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    recipe, fitted = Recipe.load(folder)
    return {"reference": fitted, "reference_params": recipe.params, "reference_key": recipe.key}
