"""The inspection's norms and cosines against a whole-model computation in numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from frism.inspection.alignment import measure_task_vectors
from frism.triples.triple import Triple


def test_norms_and_cosines_equal_numpy_on_whole_files(triple: Triple) -> None:
    report = measure_task_vectors(triple, "mat+bias+norm")
    base, vlm, lrm = (
        {name: tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()}
        for folder in (triple.base_folder, triple.vlm_folder, triple.lrm_folder)
    )
    for row in report.layers:
        prefix = "model.norm." if row.layer is None else f"model.layers.{row.layer}."
        names = sorted(name for name in base if name.startswith(prefix))
        flat = [np.concatenate([side[name].ravel() for name in names]) for side in (base, vlm, lrm)]
        tau_vlm, tau_lrm = flat[1] - flat[0], flat[2] - flat[0]
        norms = [np.linalg.norm(flat[0]), np.linalg.norm(tau_vlm), np.linalg.norm(tau_lrm)]
        assert [row.base, row.tau_vlm, row.tau_lrm] == pytest.approx(norms, rel=1e-4)
        assert row.cosine == pytest.approx(tau_vlm @ tau_lrm / norms[1] / norms[2], abs=1e-4)
        assert row.tensors == len(names)
    for row in report.modules:
        inside = [name for name in base if name.endswith(f".{row.module}") and "layers." in name]
        names = inside or ["model.norm.weight"]
        flat = [np.concatenate([side[name].ravel() for name in names]) for side in (base, vlm, lrm)]
        tau_vlm, tau_lrm = flat[1] - flat[0], flat[2] - flat[0]
        assert (row.tensors, row.tau_vlm) == (len(names), pytest.approx(np.linalg.norm(tau_vlm), rel=1e-4))
        assert row.cosine == pytest.approx(
            tau_vlm @ tau_lrm / np.linalg.norm(tau_vlm) / np.linalg.norm(tau_lrm), abs=1e-4
        )
    assert report.total.tensors == len(report.tensors) == len(triple.names("mat+bias+norm"))
    assert report.total.tau_lrm == pytest.approx(np.linalg.norm([row.tau_lrm for row in report.layers]))


def test_changed_entries_and_effective_rank_equal_numpy(
    triple: Triple, copied_folders: dict[str, Path], edit_weights: Callable
) -> None:
    """Half of one matrix changed in one direction; the rest in all entries, in every direction."""
    name = "layers.1.mlp.up_proj.weight"

    def change(tensors: dict) -> None:
        half = triple.read("base", name)
        half[: len(half) // 2] += 0.01
        tensors["model." + name] = half

    edit_weights(copied_folders["lrm"], change)
    rows = {row.name: row for row in measure_task_vectors(Triple.open(**copied_folders)).tensors}
    assert rows[name].changed == pytest.approx(0.5)
    side = min(triple.header("base", name).shape)
    assert rows[name].effective_rank == pytest.approx(1 / side, rel=0.7)  # one direction, from 32 probes
    for other in ("layers.0.mlp.up_proj.weight", "layers.2.self_attn.q_proj.weight"):
        tau = (triple.read("lrm", other) - triple.read("base", other)).double().numpy()
        s = np.linalg.svd(tau, compute_uv=False)
        expected = (s**2).sum() ** 2 / (s**4).sum() / min(tau.shape)
        assert rows[other].effective_rank == pytest.approx(expected, rel=0.15)
        assert rows[other].changed > 0.99


def test_identical_checkpoints_have_no_task_vector(triple: Triple) -> None:
    same = Triple.open(triple.base_folder, triple.vlm_folder, triple.base_folder)
    total = measure_task_vectors(same).total
    assert (total.tau_lrm, total.cosine, total.changed, total.effective_rank) == (0.0, 0.0, 0.0, None)
    assert total.tau_vlm > 0
