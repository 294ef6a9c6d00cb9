"""Shapes read from configs: sizes that the literature states, and the models' own parameter counts."""

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration

from frism.errors import UserError
from frism.files import read_json
from frism.planning.shapes import Shape, published, shape_of


@pytest.mark.parametrize(
    ("name", "matrices", "gates", "factors"),
    [  # research/frism.md, section 3: exact counts, storage of U and V in bf16
        ("Qwen2.5-VL-3B-Instruct", 252, 387_072, 7.1e9),
        ("Qwen2.5-VL-7B-Instruct", 196, 530_432, 16.7e9),
        ("Qwen2.5-VL-32B-Instruct", 448, 1_769_472, 79.5e9),
    ],
)
def test_published_shapes_have_the_known_sizes(name, matrices, gates, factors):
    text = published()[name].text
    assert text.layers * len(text.matrices) == matrices
    assert text.gates(None) == gates
    assert 2 * text.factor_values(None) == pytest.approx(factors, rel=0.01)


def test_a_rank_beyond_a_matrix_is_clipped():
    text = published()["Qwen2.5-VL-7B-Instruct"].text
    assert text.gates(1 << 20) == text.gates(None)
    assert text.gates(256) == 28 * 7 * 256


def test_counts_agree_with_the_model(triple_folders):
    shape = shape_of(triple_folders["vlm"])
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(triple_folders["vlm"])
    matrices = [p for n, p in model.model.language_model.layers.named_parameters() if p.ndim == 2]
    assert shape.text.matrix_values == sum(p.numel() for p in matrices)
    sizes = {(m.rows, m.columns) for m in shape.text.matrices}
    assert sizes == {tuple(p.shape) for p in matrices}
    # Norms, biases and positions are left out of the count.
    assert shape.values == pytest.approx(sum(p.numel() for p in model.parameters()), rel=0.03)


def test_the_table_agrees_with_transformers_on_a_released_shape():
    shape = published()["Qwen2.5-VL-7B-Instruct"]
    with torch.device("meta"):
        layer = torch.nn.Linear(shape.text.hidden, shape.text.vocabulary, bias=False)
    assert layer.weight.numel() == shape.text.head_values
    assert shape.values == pytest.approx(8.29e9, rel=0.01)  # as its card counts parameters


def test_a_config_that_lacks_a_key_is_named(triple_folders):
    config = read_json(triple_folders["vlm"] / "config.json")
    del config["text_config"]["hidden_size"]
    with pytest.raises(UserError, match=r"there has no hidden_size"):
        Shape.of(config, "there")
    with pytest.raises(UserError, match="vision_config"):
        Shape.of({"hidden_size": 8})


def test_an_unknown_checkpoint_is_a_sentence():
    with pytest.raises(UserError, match=r"Did you mean 'Qwen2.5-VL-7B-Instruct'"):
        shape_of("models/Qwen2.5-VL-7B-Instuct")
