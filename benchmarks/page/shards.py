"""Write the page's data as shards: scripts that each hand over one JSON value.

A page that is opened from the disk may not fetch files, but it may load scripts. A shard is one call,
FRISM.receive('name','JSON'), whose JSON is parsed as data: no text in it can become code, a key, or markup.
"""

import json
from pathlib import Path
from typing import Any

from frism.files import explain_refusal

FORMAT = 1  # version of what the shards hold; the front end refuses another
SUFFIX = ".js"
# What ends a JavaScript string, or could end a script that is pasted into HTML.
_ESCAPED = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r",
                          "\u2028": "\\u2028", "\u2029": "\\u2029", "<": "\\x3c"})  # fmt: skip


def format_shard(name: str, value: Any) -> bytes:
    """Format a shard as UTF-8. Raises ValueError for a number that JSON does not have."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half of a surrogate pair, which some tokenizers leave, is no character.
    return f"FRISM.receive('{name}','{text.translate(_ESCAPED)}');\n".encode("utf-8", "replace")


def parse_shard(content: bytes) -> tuple[str, Any]:
    """Parse a shard back into its name and its value. Raises ValueError for anything else."""
    text = content.decode("utf-8").strip()
    head, end = "FRISM.receive('", "');"
    name, middle, rest = text.removeprefix(head).partition("','")
    if not (text.startswith(head) and middle and text.endswith(end)):
        raise ValueError("no shard of an audit page")
    plain = rest.removesuffix(end).replace("\\x3c", "<").replace("\\u2028", "\u2028")
    plain = plain.replace("\\u2029", "\u2029")
    return name, json.loads(_unescape(plain))


def _unescape(text: str) -> str:
    parts, escaped = [], False
    for sign in text:
        if escaped:
            parts.append({"n": "\n", "r": "\r"}.get(sign, sign))
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            parts.append(sign)
    return "".join(parts)


class ShardFolder:
    """Writes the shards of one study into a folder, and counts their bytes.

    Attributes:
        written: bytes by shard.
    """

    def __init__(self, folder: Path, study: str) -> None:
        self.folder, self.study = folder, study
        self.written: dict[str, int] = {}

    def write(self, name: str, value: Any) -> None:
        """Write one shard. Raises UserError when the disk refuses."""
        path = self.folder / f"{name}{SUFFIX}"
        content = format_shard(f"{self.study}/{name}", value)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise explain_refusal(path, error) from error
        self.written[name] = len(content)
