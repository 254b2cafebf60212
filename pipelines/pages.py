"""The one template kit of all HTML pages: jinja2, everything escaped, nothing loaded from outside the page.

A template lies beside the package that fills it. `{{ style("page.css") }}` puts a file of the package into the page as
it is, `thousands` and `share` are number formats. A name that a template misspells is an error, not an empty text.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from avatarkit.errors import InputError, OutputError
from avatarkit.escaping import visible
from avatarkit.reading import read_bytes

__all__ = ["check_own", "render"]

LARGEST_PAGE = 256 << 20
"""Bytes; what is larger is nothing that we have written."""


def render(package: str, template: str, **values: Any) -> str:
    """A page of a template and its values.

    Args:
        package: that the template lies in, such as "avatarkit.pipelines.data_report". template: file name.
        values: texts are escaped; `markupsafe.Markup` is taken as HTML.
    """
    return _environment(package).get_template(template).render(values)


def check_own(path: Path, mark: str, advice: str) -> None:
    """Raise OutputError where a file would be replaced that has no `mark` of ours; `advice` says what to do."""
    try:
        own = not os.path.lexists(path) or mark.encode() in read_bytes(path, LARGEST_PAGE)
    except (InputError, FileNotFoundError):
        own = False
    if not own:
        raise OutputError(f"{path}: exists and is {advice}")


def _visible(value: Any) -> Any:
    """A value with the texts in it made visible; HTML of ours stays."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    if isinstance(value, dict):
        return {_visible(key): _visible(entry) for key, entry in value.items()}
    return [_visible(entry) for entry in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=8)
def _environment(package: str) -> jinja2.Environment:
    def text_of(name: str) -> str:
        return resources.files(package).joinpath(name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_function"] = lambda value, **options: json.dumps(_visible(value), **options)
    environment.globals["style"] = lambda name: Markup(text_of(name))
    environment.filters["thousands"] = lambda value: f"{value:,}"
    environment.filters["share"] = lambda value: f"{100 * value:.1f} %"
    return environment
