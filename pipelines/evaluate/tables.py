"""Tables of an evaluation: means with intervals, tests between methods, as Markdown, LaTeX and csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from avatarkit.escaping import for_csv, for_markdown, for_tex
from avatarkit.pipelines.evaluate.figures import FIGURES, OF_METHODS, OF_RUNS, interval, paired_p

Clips = Sequence[Mapping[str, Any]]


def summary(clips: Clips, seed: int) -> dict[str, dict[str, Any]]:
    """By method and figure: mean over clips, interval, clips; frames measured and lost."""
    methods: dict[str, dict[str, Any]] = {}
    for method in dict.fromkeys(clip["method"] for clip in clips):
        own = [clip for clip in clips if clip["method"] == method]
        figures = {}
        for name in FIGURES:
            values = [clip["figures"][name] for clip in own if clip["figures"].get(name) is not None]
            if values:
                figures[name] = asdict(interval(values, seed))
        methods[method] = {
            "figures": figures,
            "clips": len(own),
            "frames": sum(clip["counted"] for clip in own),
            "lost_frames": sum(clip["lost"] for clip in own),
        }
    return methods


def tests(clips: Clips) -> list[dict[str, Any]]:
    """Each other method against the first one on the clips that both have: mean difference and p of a paired test."""
    by_method: dict[str, dict[str, Mapping[str, Any]]] = {}
    for clip in clips:
        by_method.setdefault(clip["method"], {})[clip["name"]] = clip["figures"]
    rows: list[dict[str, Any]] = []
    first, *others = list(by_method) or [""]
    for other in others:
        shared = [name for name in by_method[first] if name in by_method[other]]
        for figure in (name for name in FIGURES if name not in OF_METHODS):
            pairs = [(by_method[first][name].get(figure), by_method[other][name].get(figure)) for name in shared]
            both = [(item, two) for item, two in pairs if item is not None and two is not None]
            if not both:
                continue
            item, two = zip(*both, strict=True)
            difference = sum(two) / len(two) - sum(item) / len(item)
            rows.append(
                {"figure": figure, "method": other, "against": first, "clips": len(both), "difference": difference,
                 "p": paired_p(item, two)}
            )  # fmt: skip
    return rows


def columns(results: Mapping[str, Any]) -> list[str]:
    """Figures that a method has, in the tables' order, the speed last."""
    names = {name for method in results["methods"].values() for name in method["figures"]}
    cost = [name for name in OF_RUNS if results["times"][name]]
    return [*(name for name in FIGURES if name in names), *cost]


def cell(results: Mapping[str, Any], method: str, figure: str, *, spread: bool = True) -> str:
    """A figure to read, with its interval; a dash where it was not measured."""
    digits = FIGURES[figure].digits
    if figure in OF_RUNS:
        cost = results["times"][figure].get(method)
        return "–" if cost is None else f"{cost:.{digits}f}"
    value = results["methods"][method]["figures"].get(figure)
    if value is None:
        return "–"
    text = f"{value['mean']:.{digits}f}"
    if not spread or value["clips"] < 2 or value["low"] is None:
        return text
    return f"{text} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


def best(results: Mapping[str, Any], figure: str) -> str | None:
    """The method with the best mean; None where no direction is better, or there is one method alone."""
    higher = FIGURES[figure].higher
    means: dict[str, float] = {
        method: values["figures"][figure]["mean"]
        for method, values in results["methods"].items()
        if figure in values["figures"]
    }
    if higher is None or len(means) < 2:
        return None
    return (max if higher else min)(means, key=lambda method: means[method])


def markdown(results: Mapping[str, Any]) -> str:
    """One row per method, arrows for the better direction, the best in bold."""
    names = columns(results)
    arrows = {True: " ↑", False: " ↓", None: ""}
    head = ["method", "clips", *(FIGURES[name].title + arrows[FIGURES[name].higher] for name in names)]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for method, values in results["methods"].items():
        cells = [
            f"**{text}**" if best(results, name) == method else text
            for name in names
            for text in [cell(results, method, name)]
        ]
        lines.append(f"| {' | '.join([for_markdown(method), str(values['clips']), *cells])} |")
    size, every = results["options"]["size"], results["options"]["every"]
    lines += ["", f"{results['kind']}-reenactment at {size} px, every {_ordinal(every)} frame; mean over clips and 95 %"
              " interval of a bootstrap over clips."]  # fmt: skip
    lines += map(for_markdown, published_lines(results))
    missing = results["not_measured"].items()
    lines += [f"{FIGURES[name].title}: not measured here; {for_markdown(why)}." for name, why in missing]
    return "\n".join(lines) + "\n"


def published_lines(results: Mapping[str, Any]) -> list[str]:
    """What stands in the protocol's own table, a line for each row, after what is known of the protocol."""
    protocol = results.get("protocol")
    if not protocol:
        return []
    rows = [
        f"published, {method}: {', '.join(f'{figure} {value:g}' for figure, value in row.items())}"
        for method, row in protocol["published"].items()
    ]
    return [f"Protocol {protocol['name']}: {protocol['about']}.", *rows]


def latex(results: Mapping[str, Any]) -> str:
    """The same for a paper (booktabs), without intervals."""
    names = columns(results)
    arrows = {True: r" $\uparrow$", False: r" $\downarrow$", None: ""}
    head = [for_tex(FIGURES[name].title) + arrows[FIGURES[name].higher] for name in names]
    lines = [rf"\begin{{tabular}}{{l{'c' * len(names)}}}", r"\toprule"]
    lines += [f"Method & {' & '.join(head)} \\\\", r"\midrule"]
    for method in results["methods"]:
        cells = [
            rf"\textbf{{{text}}}" if best(results, name) == method else text
            for name in names
            for text in [for_tex(cell(results, method, name, spread=False))]
        ]
        lines.append(f"{for_tex(method)} & {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def csv_text(results: Mapping[str, Any]) -> str:
    """One row per case, all figures; an empty cell where one was not measured."""
    names = [name for name in FIGURES if any(name in clip["figures"] for clip in results["clips"])]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["method", "name", "frames", "lost", *names])
    for clip in results["clips"]:
        values = [clip["figures"].get(name) for name in names]
        head = [for_csv(clip["method"]), for_csv(clip["name"]), clip["counted"], clip["lost"]]
        rows.writerow([*head, *("" if value is None else f"{value:.6g}" for value in values)])
    return text.getvalue()


def _ordinal(every: int) -> str:
    return {1: "", 2: "second", 3: "third"}.get(every, f"{every}th").strip() or "single"
