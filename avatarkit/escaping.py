"""Texts of strangers in what we write: names of clips, people and methods that steer nothing where they are shown."""

from __future__ import annotations

import re

__all__ = ["for_csv", "for_markdown", "for_metadata", "for_tex", "visible"]

LONGEST_ENTRY = 1000
"""Characters of an entry of metadata; as a word of a command line it must not be long."""

# All but tab and line feed: control characters, line ends that few know of, what turns the direction of text, and
# halves of characters, which cannot be written.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Spreadsheets split lines at other separators than ours, too, where a country is used to them.
_FORMULA = re.compile(r"(^|[;,\t\r\n])(?=['=+@\-\uff1d\uff0b\uff20\uff0d\t\r\n])")
_MARKDOWN = re.compile(r"([\\`*\[\]<>|#&!])")
_TEX = {
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "&": r"\&", "%": r"\%",
    "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def visible(text: str) -> str:
    """A text with what would steer a terminal, or turn the text around it, written as escapes."""
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def for_csv(text: str) -> str:
    """A cell of a csv file: what a spreadsheet would take for a formula gets an apostrophe, which shows it as text."""
    return _FORMULA.sub(r"\1'", text)


def for_markdown(text: str) -> str:
    """A text within a line of Markdown: no links, no pictures, no HTML, no cell or line ends."""
    return _MARKDOWN.sub(r"\\\1", _line(text))


def for_tex(text: str) -> str:
    """A text within a line of LaTeX: no command, and no other way to write one."""
    return "".join(_TEX.get(letter, letter) for letter in _line(text))


def for_metadata(text: str) -> str:
    """A text for an entry of a container's metadata, or of XMP: a line, not long."""
    line = _line(text)
    return line if len(line) <= LONGEST_ENTRY else line[: LONGEST_ENTRY - 3] + "..."


def _line(text: str) -> str:
    return visible(" ".join(text.split()))
