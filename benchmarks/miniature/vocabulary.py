"""Learn the visual vocabulary: per tile four visual tokens that the frozen language model understands.

The frozen language model looks things up in words. To find vectors that serve it as well as words do takes a
few hundred steps on this table, instead of thousands on a tower.
"""

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from benchmarks.miniature.documents import VISUAL_TOKENS, Document
from benchmarks.miniature.world import COLORS, PLACES, Scene, number_word

NO_COLOR, NO_NUMBER = len(COLORS), 10  # classes of a cell without a tile
PARTS = 4  # visual tokens of a cell: upper left and right, lower left and right


class VisualVocabulary(nn.Module):
    """Give each visual token as a sum of vectors for its tile's place, colour, number (or an empty cell).

    Tables of shape (classes, 4, hidden), one vector per quarter of a cell. At the start the quarters
    are the words of a description: place, colour, number, ";".
    Put in place of `vlm.model.visual` it answers for the scenes set by `show`.
    """

    dtype = torch.float32
    spatial_merge_size = 2

    def __init__(self, vlm: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor) -> None:
        super().__init__()
        embeddings: Tensor = vlm.get_input_embeddings().weight.detach()
        self.hidden = embeddings.shape[1]

        def words(texts: list[str]) -> Tensor:
            return embeddings[[processor.tokenizer(f" {t}").input_ids[0] for t in texts]]

        def table(rows: int) -> Tensor:
            return torch.zeros(rows, PARTS, self.hidden)

        place, color, number = table(len(PLACES)), table(NO_COLOR + 1), table(NO_NUMBER + 1)
        place[:, 0], place[:, 3] = words(list(PLACES)), words([";"])
        color[:NO_COLOR, 1] = words(list(COLORS))
        number[:NO_NUMBER, 2] = words([number_word(n) for n in range(10)])
        self.place, self.color, self.number = (nn.Parameter(t) for t in (place, color, number))
        self.empty = nn.Parameter(table(len(PLACES)))
        self.scenes: list[Scene] = []

    def show(self, documents: list[Document]) -> None:
        """Answer for the scenes of these documents from now on."""
        self.scenes = [d.scene for d in documents if d.scene is not None]

    def forward(
        self, pixels: Tensor, grid_thw: Tensor | None = None, **unused: object
    ) -> BaseModelOutputWithPooling:
        """Answer as the tower would; the pixels are not looked at."""
        return BaseModelOutputWithPooling(pooler_output=self.tokens(self.scenes))

    def tokens(self, scenes: list[Scene]) -> Tensor:
        """Return all visual tokens in the tower's order (row by row), shape (scenes * 36, hidden)."""
        colors, numbers = cell_classes(scenes)
        filled = (colors != NO_COLOR)[:, None, None]
        places = torch.arange(len(PLACES)).repeat(len(scenes))
        cells = torch.where(
            filled, self.place[places] + self.color[colors] + self.number[numbers], self.empty[places]
        )
        grid = cells.view(len(scenes), 3, 3, 2, 2, self.hidden)
        return grid.transpose(2, 3).reshape(len(scenes) * VISUAL_TOKENS, self.hidden)


def cell_classes(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    """Return colour and number class of every cell in reading order, each of shape (scenes * 9,)."""
    colors = torch.full((len(scenes), len(PLACES)), NO_COLOR)
    numbers = torch.full((len(scenes), len(PLACES)), NO_NUMBER)
    for row, scene in enumerate(scenes):
        for tile in scene:
            colors[row, tile.place] = list(COLORS).index(tile.color)
            numbers[row, tile.place] = tile.number
    return colors.flatten(), numbers.flatten()
