"""Strategies for damaged input: hostile texts and values, files and structures with parts changed."""

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

# What has broken readers before: paths out of a folder, control characters, code, markup, odd numbers.
HOSTILE = [
    "", " ", "\0", "a\0b", "\n", "a\nb", "\r", "\t", "\x1b[31mred\x1b[0m", "\u202egnirts", "\ud800", "\ufeff",
    "../../etc/passwd", "/etc/passwd", "..", ".", "~", "~nobody/x", "a/b", "a\\b", "x" * 300, "x" * 5000,
    "%s%n{}", "{0.__class__}", "{{7*7}}", "{% raw %}", "$(touch hacked)", "`touch hacked`", "; touch hacked",
    "__import__('os').system('touch hacked')", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "| a | b |", "](javascript:alert(1))", "](http://x)", "=1+1", "NaN", "nan", "inf", "-Infinity", "null",
    "None", "true",
    "1e999", "0x10", "1_000", "١٢", "é", "e\u0301", "-0", "!!python/object/apply:os.system", "&a", "*a",
]  # fmt: skip
texts = st.sampled_from(HOSTILE) | st.text(max_size=12)
numbers = st.sampled_from(
    [0, -1, 1, 2, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"),
     float("-inf")]
)  # fmt: skip
leaves = st.none() | st.booleans() | numbers | texts
values: st.SearchStrategy[Any] = leaves | st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def nest(depth: int) -> Any:
    """A list in a list, so many deep."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@st.composite
def structures(draw: st.DrawFn, whole: Any, value: st.SearchStrategy[Any] = values) -> Any:
    """A JSON structure in which one to three parts were replaced, taken away, doubled, renamed or added."""
    changed = copy.deepcopy(whole)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        changed = _change(draw, changed, value)
    return changed


def _change(draw: st.DrawFn, node: Any, value: st.SearchStrategy[Any]) -> Any:
    """Change something in a node: itself, one of its entries, or something deeper."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    if not keys or draw(st.integers(0, 15)) == 0:
        return draw(value)
    key = draw(st.sampled_from(keys))
    how = draw(st.sampled_from(["deeper", "deeper", "deeper", "replace", "remove", "rename", "add"]))
    if how == "deeper":
        node[key] = _change(draw, node[key], value)
    elif how == "replace":
        node[key] = draw(value)
    elif how == "remove":
        del node[key]
    elif isinstance(node, list):
        node.insert(key, draw(value) if how == "add" else copy.deepcopy(node[key]))
    elif how == "rename":
        node[draw(texts)] = node.pop(key)
    else:
        node[draw(texts)] = draw(value)
    return node


@st.composite
def contents(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file's bytes with some changed, cut out, doubled or put in; or its end cut off."""
    changed = bytearray(whole)
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 8, 100]))
        how = draw(st.sampled_from(["cut", "change", "remove", "double", "insert"]))
        if how == "cut":
            del changed[at:]
        elif how == "change":
            changed[at : at + length] = draw(st.binary(min_size=length, max_size=length))
        elif how == "remove":
            del changed[at : at + length]
        elif how == "double":
            changed[at:at] = changed[at : at + length]
        else:
            changed[at:at] = draw(st.sampled_from(HOSTILE)).encode(errors="surrogatepass")
    return bytes(changed)


def serialise(value: Any) -> bytes:
    """JSON as Python writes it, with NaN and lone surrogates where there are some."""
    return json.dumps(value).encode()


def json_files(whole: Any) -> st.SearchStrategy[bytes]:
    """Files that were to hold a structure: with other parts, other bytes, or something else altogether."""
    text = serialise(whole)
    odd = [b"", b"null", b"[]", b"1", b"\xff\xfe", text[:-1], text * 2, serialise(nest(200)), b"[" * 200_000,
           b'{"a":' * 100_000, b"1" * 10_000]  # fmt: skip
    return structures(whole).map(serialise) | contents(text) | st.sampled_from(odd)


def lines_of(make: Callable[[], list[bytes]]) -> st.SearchStrategy[bytes]:
    """Files of lines, some of them missing, twice, in another order or damaged."""
    lines = make()
    damaged = st.sampled_from(lines).flatmap(contents)
    return st.lists(st.sampled_from(lines) | damaged, max_size=8).map(b"\n".join)
