"""Members of the population are trained as said: a few steps of each kind."""

import json
import math
import shutil
from functools import partial

import pandas as pd
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2ForCausalLM
from typer.testing import CliRunner

from benchmarks.miniature import base, lrm, tower, training, vlm
from benchmarks.miniature.lrm import train_lrm
from benchmarks.miniature.population import card, members, turned
from benchmarks.miniature.population.members import WEIGHTS, Member, list_members
from benchmarks.miniature.population.train import train
from benchmarks.miniature.population.turned import make_turn, turn_projector
from benchmarks.miniature.tokenizer import build_processor, build_tokenizer
from frism.errors import UserError
from frism.triples.triple import Triple

STEPS = {
    "base": {"copy_steps": 1, "steps": 1, "request_steps": 1},
    "vlm_aligned": {"vocabulary_steps": 1, "tower_steps": 1, "align_steps": 1, "tune_steps": 1},
    "vlm_turned": {"steps": 2},
    "lrm_forgetful": {"steps": 2},
}


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """Two documents a step: what is tested is what is trained from what, not what is learned."""

    def fit_little(*arguments, **keywords):
        return training.fit(*arguments, **keywords | {"batch": 2})

    with pytest.MonkeyPatch.context() as patch:
        for module in (base, lrm, vlm, turned):
            patch.setattr(module, "fit", fit_little)
        patch.setattr(vlm, "pretrain_tower", partial(tower.pretrain_tower, batch=2))
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for part, steps in STEPS.items():
        train(Member("b1", part), folder, **steps)
    return folder


def language(model):
    return getattr(model.model, "language_model", model.model).state_dict()


def test_each_member_is_a_checkpoint_of_one_triple(models) -> None:
    for name in ("vlm_aligned", "vlm_turned"):
        triple = Triple.open(*(str(models / "b1" / part) for part in ("base", name, "lrm_forgetful")), "mat")
        assert len(triple.names()) == 42
    assert not list((models / "b1").glob(".*"))


def test_the_turned_v_has_the_aligned_tower_turned_and_another_language_model(models) -> None:
    aligned, other = (
        Qwen2_5_VLForConditionalGeneration.from_pretrained(models / "b1" / name)
        for name in ("vlm_aligned", "vlm_turned")
    )
    turn_projector(aligned, members.DEGREES, Member("b1", "vlm_turned").seed)
    expected, found = aligned.model.visual.state_dict(), other.model.visual.state_dict()
    assert all(torch.equal(x, found[name]) for name, x in expected.items())
    start = language(Qwen2ForCausalLM.from_pretrained(models / "b1/base"))
    moved = [name for name, x in language(other).items() if not torch.equal(x, start[name])]
    assert moved and not [name for name in moved if "embed_tokens" in name]


def test_a_run_that_was_cut_off_is_taken_up(models, tmp_path, monkeypatch) -> None:
    shutil.copytree(models / "b1/base", tmp_path / "b1/base")
    member, step = Member("b1", "lrm_forgetful"), torch.optim.AdamW.step
    monkeypatch.setattr("benchmarks.miniature.keeper.Keeper.every", 1, raising=False)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        calls = iter([True, False])

        def cut(self, *arguments):
            if not next(calls):
                raise KeyboardInterrupt
            return step(self, *arguments)

        patch.setattr(torch.optim.AdamW, "step", cut)
        train(member, tmp_path, steps=2)
    assert not member.folder(tmp_path).exists() and (tmp_path / "b1/.lrm_forgetful.partial").is_dir()
    train(member, tmp_path, steps=2)
    bytes_of = [(f / "b1/lrm_forgetful/model.safetensors").read_bytes() for f in (tmp_path, models)]
    assert bytes_of[0] == bytes_of[1]


def test_replay_of_30_percent_is_the_committed_recipe(tmp_path) -> None:
    processor = build_processor(build_tokenizer())
    parent = Qwen2ForCausalLM.from_pretrained(WEIGHTS / "base")
    made = [train_lrm(parent, processor, tmp_path / "loss.csv", steps=6, **given)
            for given in ({}, {"replay": 0.30}, {"replay": 0.0})]  # fmt: skip
    same = [all(torch.equal(x, made[0].state_dict()[k]) for k, x in m.state_dict().items()) for m in made]
    assert same == [True, True, False]


@pytest.mark.parametrize("degrees", [0.0, 35.0, 60.0, 90.0])
def test_a_turn_is_orthogonal_and_turns_every_vector_by_its_angle(degrees) -> None:
    turn = make_turn(16, degrees, seed=3)
    assert torch.allclose(turn @ turn.T, torch.eye(16, dtype=torch.float64), atol=1e-12)
    vectors = torch.randn(16, 5, dtype=torch.float64)
    cosine = torch.nn.functional.cosine_similarity(turn @ vectors, vectors, dim=0)
    assert torch.allclose(cosine, torch.full((5,), math.cos(math.radians(degrees)), dtype=torch.float64))


def test_members_have_seeds_of_their_own_and_the_committed_ones_theirs() -> None:
    every = list(list_members())
    assert len({m.name for m in every}) == len(every) == 24
    assert [Member("b0", part).seed for part in ("base", "lrm_rehearsed", "vlm_aligned")] == [0, 10, 20]
    by_base = {m.base: {o.seed for o in every if o.base == m.base} for m in every}
    assert not by_base["b1"] & by_base["b2"]
    assert all(m.folder().joinpath("model.safetensors").is_file() for m in every if m.shipped)


def test_what_cannot_be_trained_is_said_in_one_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match=r"no model 'b1/vlm_turnt'.*Did you mean 'b1/vlm_turned'"):
        Member.parse("b1/vlm_turnt")
    with pytest.raises(UserError, match="comes with the repository"):
        train(Member("b0", "base"), tmp_path)
    with pytest.raises(UserError, match=r"b2/base/model\.safetensors is missing, from which b2/lrm_lightly"):
        train(Member("b2", "lrm_lightly"), tmp_path)


def test_the_card_has_every_model_with_intervals_norms_and_hashes(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(members, "BASES", ("b0", "b1"))
    parts = {"base": "base", "vlm": "vlm", "lrm": "lrm"}
    for member in list_members():
        folder = member.folder(tmp_path)
        if not member.shipped:
            folder.parent.mkdir(exist_ok=True)
            folder.symlink_to((WEIGHTS / parts[member.part[:4].rstrip("_")]).resolve())
        record = card.find_record(member, tmp_path)
        if member.base == "b0" and member.kind in ("", "aligned", "rehearsed"):
            asked = ["measure", member.name, "--models", str(tmp_path), "--out", str(record)]
            run = CliRunner().invoke(card.app, [*asked, "--questions", "4"])
            assert run.exit_code == 0, run.output
            measured = json.loads(record.read_text())
        else:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(measured | {"model": member.name}))
    for name in ("b0", "b1"):
        out = card.find_pairs(name, tmp_path)
        run = CliRunner().invoke(card.app, ["compare", name, "--models", str(tmp_path), "--out", str(out)])
        assert run.exit_code == 0, run.output
        shutil.rmtree(tmp_path / name)  # measured once, a model is needed no more
    run = CliRunner().invoke(
        card.app, ["collect", "--models", str(tmp_path), "--out", str(tmp_path / "card")]
    )
    assert run.exit_code == 0, run.output
    table = pd.read_csv(tmp_path / "card/models.csv").set_index("model")
    assert list(table.index) == [m.name for m in list_members()]
    row = table.loc["b0/vlm_aligned"]
    assert row["input"] == "pictures" and row["perception_low"] <= row["perception"] <= row["perception_high"]
    pairs = pd.read_csv(tmp_path / "card/pairs.csv")
    assert (
        len(pairs) == 12 and pairs["tau_R"].round(2).eq(7.46).all() and pairs["tau_V"].round(2).eq(1.02).all()
    )
    text = (tmp_path / "card/README.md").read_text()
    assert "b1/lrm_forgetful" in text and "n = 4 per question family" in text
    asked = ["collect", "--models", str(tmp_path), "--out", str(tmp_path / "one"), "--base", "b0"]
    assert CliRunner().invoke(card.app, asked).exit_code == 0
    assert set(pd.read_csv(tmp_path / "one/pairs.csv")["base"]) == {"b0"}
    sums = (tmp_path / "card/SHA256SUMS").read_text().splitlines()
    assert len(sums) == 12 and all(len(line.split()[0]) == 64 for line in sums)
