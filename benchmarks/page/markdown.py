"""Parse Markdown into a tree of plain values, from which the front end builds elements without any markup."""

from pathlib import PurePosixPath
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

# A text, or [tag, attributes, children...] with a tag of TAGS.
Node = str | list[Any]
TAGS = {
    "paragraph": "p", "bullet_list": "ul", "ordered_list": "ol", "list_item": "li", "table": "table",
    "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th", "td": "td", "strong": "strong", "em": "em",
    "blockquote": "blockquote", "hr": "hr",
}  # fmt: skip


def parse_markdown(text: str) -> list[Node]:
    """Parse a document; raw HTML stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return _convert(SyntaxTreeNode(parser.parse(text)))


def parse_inline(text: str) -> list[Node]:
    """Parse one paragraph, such as a legend, without its paragraph's element."""
    parser = MarkdownIt("commonmark", {"html": False})
    return _convert(SyntaxTreeNode(parser.parseInline(text)))


def _convert(node: SyntaxTreeNode) -> list[Node]:
    found: list[Node] = []
    for child in node.children:
        if child.type in ("inline", "root"):
            found += _convert(child)
        elif child.type in ("text", "html_inline", "html_block"):
            found.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            found.append("\n")
        elif child.type == "code_inline":
            found.append(["code", {}, child.content])
        elif child.type in ("fence", "code_block"):
            found.append(["pre", {}, child.content])
        elif child.type == "heading":
            found.append([child.tag, {}, *_convert(child)])
        elif child.type == "image":
            found.append(_convert_image(child))
        elif child.type == "link":
            found.append(_convert_link(child))
        elif child.type in TAGS:
            style = str(child.attrs.get("style", ""))
            attributes = {"align": "right"} if style.endswith("right") else {}
            found.append([TAGS[child.type], attributes, *_convert(child)])
        else:
            found += _convert(child)
    return found


def _convert_image(node: SyntaxTreeNode) -> Node:
    """Make a figure of this study of an image; any other image is its words alone."""
    source, words = PurePosixPath(str(node.attrs.get("src", ""))), node.content
    if source.parts[:1] == ("figures",) and len(source.parts) == 2:
        return ["figure", {"name": source.stem, "alt": words}]
    return words


def _convert_link(node: SyntaxTreeNode) -> Node:
    """Make a link to a table of this study; any other link is its words alone."""
    target = PurePosixPath(str(node.attrs.get("href", "")))
    children = _convert(node)
    if target.parts[:1] == ("tables",) and len(target.parts) == 2:
        return ["table-link", {"name": target.stem}, *children]
    return ["span", {}, *children]
