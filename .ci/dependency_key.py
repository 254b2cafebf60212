"""Print a short key of everything in pyproject.toml that an installation depends on.

`make` names its stamp after the key, so that .venv is brought up to date when the dependencies change and
left alone when only code or the settings of a tool change. Runs on any Python 3 without packages, hence the
small reader instead of a TOML parser.
"""

import hashlib
import os
import re
import sys

WHOLE_TABLES = ("build-system", "project.optional-dependencies", "project.scripts")
KEYS = {"project": ("dependencies", "requires-python"), "tool.setuptools": ("package-dir",)}


def relevant_lines(text):
    """Return the lines that say what to install, without comments, blank lines and differences in spacing."""
    table, keep, depth, lines = "", False, 0, []
    for raw in text.splitlines():
        line = " ".join(re.sub(r"(^|\s)#.*", "", raw).split())
        header = re.match(r"\[([\w.\-]+)\]$", line)
        if header and depth == 0:
            table, keep = header.group(1), False
            continue
        if depth == 0:
            key = line.split("=")[0].strip()
            keep = table in WHOLE_TABLES or key in KEYS.get(table, ())
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "", line)
        depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
        if keep and line:
            lines.append(table + ": " + line)
    return lines


def main():
    """Print the key of ./pyproject.toml; the folder counts too, since .venv points back to it."""
    with open("pyproject.toml", encoding="utf-8") as handle:
        lines = relevant_lines(handle.read())
    sys.stdout.write(hashlib.sha256("\n".join([os.getcwd(), *lines]).encode()).hexdigest()[:12] + "\n")


if __name__ == "__main__":
    main()
