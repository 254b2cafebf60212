"""Names of strangers in tables and pages: shown as they are, and nothing more."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from avatarkit.escaping import for_csv, for_markdown, for_tex, visible
from avatarkit.pipelines.pages import render


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("plain = text", "plain = text"), ("Smith; John, -x", "Smith; John, -x"), ("=1+1", "'=1+1"),
        ("@SUM(1)", "'@SUM(1)"), ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"), ("a\n=1", "a\n'=1"),
        ("\uff1d1+1", "'\uff1d1+1"), ("'=1", "''=1"), ("\t=1", "'\t'=1"),
    ],
)  # fmt: skip
def test_no_spreadsheet_of_any_country_sees_a_formula(text: str, cell: str) -> None:
    assert for_csv(text) == cell
    line = io.StringIO()
    csv.writer(line).writerow(["m", cell])
    for separator in ";\t,\n":
        assert not any(part.startswith(tuple("=+-@")) for part in line.getvalue().split(separator))


@pytest.mark.parametrize(
    "text", ["\\input /etc/passwd", "\\input{/etc/passwd}", "^^5cinput x", "a\\\\b", "a & b % c # $x$"]
)
def test_no_command_is_left_in_latex(text: str) -> None:
    known = r"\\textbackslash\{\}|\\textasciicircum\{\}|\\[&%#$_{}]"
    rest = re.sub(known, "", for_tex(text))
    assert not set(rest) & set("\\^&%#$_{}")


def test_markdown_keeps_its_cells() -> None:
    assert for_markdown("a|b\n| c |") == "a\\|b \\| c \\|"
    assert for_markdown("<script> ![x](http://y)") == "\\<script\\> \\!\\[x\\](http://y)"
    assert for_markdown("a_b-c.d") == "a_b-c.d"


def test_what_steers_is_shown() -> None:
    assert visible("\u202egpj.exe\x1b[2J\u2028ä👩\u200d🔬\n") == "\\u202egpj.exe\\x1b[2J\\u2028ä👩\u200d🔬\n"


def test_pages_show_what_steers() -> None:
    source = {"name": "\u202ex</script>", "link": "", "poster": ""}
    data = {"engines": [], "sources": [source], "drivers": [], "cells": []}
    counts = {"made": 0, "refused": 0}
    page = render("avatarkit.pipelines.batch", "gallery.html", data=data, engines=["\x1be\u202e"], counts=counts)
    assert "\u202e" not in page
    assert "\x1b" not in page
    content = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(content)["sources"][0]["name"] == "\\u202ex</script>"
