"""Read the arguments that several stages share."""

import json

from frism.errors import UserError
from frism.triples.triple import Triple


def triple_of(text: str, scope: str = "mat", *, text_receiver: bool = False) -> Triple:
    """Open the triple that a command line names as JSON. Raises UserError."""
    try:
        folders = json.loads(text)
        paths = {role: folders[role] for role in ("base", "vlm", "lrm")}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"--triple must be JSON with base, vlm and lrm, not {text!r}.") from None
    return Triple.open(**paths, scope=scope, text_receiver=text_receiver)
