"""Show in Markdown what models, data sets and folders say, as text: nothing in it is markup, HTML or a link.

What is harmless stays as it is, so ordinary names look like themselves in the source, too.
"""

import re

import yaml

# A tag, a comment or an instruction of HTML begins with one of these; "p <0.001" begins none.
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_SCALAR = re.compile(r"[A-Za-z0-9][\w./@+-]*")


def escape_html(text: str) -> str:
    """Return a text in which no tag and no link begins; Markdown's other marks stay."""
    return _TAG.sub("&lt;", text).replace("](", "]\\(")


def escape_text(value: object) -> str:
    """Return a value as a paragraph's words: in one line, without markup."""
    return re.sub(r"([\\`*\[\]|])|^([#>+~=_-]|\d+[.)])", r"\\\1\2", escape_html(_flatten(value)))


def escape_cell(value: object) -> str:
    """Return a value for a table's cell: in one line, ending no cell, without a tag or a link."""
    return escape_html(_flatten(value)).replace("|", "\\|")


def quote_code(value: object) -> str:
    """Return a value as code between backticks, of which it holds none."""
    return f"`{_flatten(value).replace('`', chr(39)).replace('|', chr(166))}`"


def format_scalar(value: object) -> str:
    """Return a value as a scalar of YAML, for a front matter: in quotes unless it is a plain name."""
    text = str(value)
    if _SCALAR.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=1 << 30)
    return quoted.strip()


def _flatten(value: object) -> str:
    """Return a text in one line, without characters that are no text."""
    return "".join(c if c.isprintable() else " " for c in str(value)).strip()
