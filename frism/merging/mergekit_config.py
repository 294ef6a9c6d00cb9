"""Write mergekit_config.yml: a recipe in mergekit's words, or a comment where mergekit has no such method."""

from collections.abc import Mapping

from frism.method.discovery import find
from frism.method.recipe import Recipe


def format_mergekit_config(recipe: Recipe, names: Mapping[str, str], dtype: str | None = None) -> str:
    """Format the text of mergekit_config.yml.

    Args:
        names: what the checkpoints are called, by role.
        dtype: safetensors' name of the dtype that merged tensors were cast to, if not V's own.
    """
    import yaml

    head = [
        f"# Made by frism (method {recipe.method}, recipe {recipe.key}), not by mergekit, which cannot merge",
        "# a vision-language model with a text model: what follows is the arithmetic of the language tower,",
        f"# scope {recipe.scope}; all other tensors are the receiver's.",
    ]
    method = find(recipe.method or "")
    config = method.mergekit_config(names, recipe.params)
    if config is None:
        values = ", ".join(f"{name}={value}" for name, value in recipe.params.items()) or "no parameters"
        return "\n".join([*head, f"# mergekit has no such method: {recipe.method} with {values}.", ""])
    if method.mergekit_difference:
        head.append(f"# {method.mergekit_difference}")
    config |= {"dtype": "float32", "tokenizer_source": names["vlm"]}
    if dtype:
        head.append(f"# Merged tensors were cast to {dtype}.")
    return "\n".join([*head, yaml.safe_dump(config, sort_keys=False)])
