"""Read the index of a sharded checkpoint: which file holds which tensor."""

from pathlib import Path

from frism.errors import UserError
from frism.files import read_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def read_weight_map(index: Path) -> dict[str, str]:
    """Return an index's weight_map: tensor name to file name. Raises UserError when it leaves the folder."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{index} has no weight_map: copy or download the index again.")
    for shard in weight_map.values():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise UserError(f"{index} points outside its folder ({shard}): put the shards beside the index.")
    return weight_map
