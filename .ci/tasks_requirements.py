"""Print what the environment of `make test-tasks-api` needs, one requirement a line, for pip.

It is what pyproject.toml asks for on Python 3.13 (MediaPipe with Tasks only, numpy 2), whichever Python this is, less
torch and what stands on it. Runs on any Python 3 without packages.
"""

import re
import sys

# Needed by training, by networks of others, and by fetching originals: not by faces, motion, matting and rendering.
WITHOUT = ("accelerate", "kornia", "omegaconf", "tensorboard", "torch", "torchvision", "yt-dlp")
TESTS = ("hypothesis", "pytest")
NEWER = "python_version >= '3.13'"
OLDER = "python_version < '3.13'"


def requirements(text):
    """The requirements, as for Python 3.13, from the text of pyproject.toml."""
    table = text[text.index("\ndependencies = [") : text.index("\n[project.optional-dependencies]")]
    found = []
    for requirement in re.findall(r"^ *\"([^\"]+)\"", table, re.MULTILINE):
        name = re.split(r"[<>=;\s]", requirement)[0]
        if name in WITHOUT or OLDER in requirement:
            continue
        found.append(re.sub(r"; *" + re.escape(NEWER) + "$", "", requirement))
    return [*found, *TESTS]


def main():
    """Print the requirements of ./pyproject.toml."""
    with open("pyproject.toml", encoding="utf-8") as handle:
        sys.stdout.write("\n".join(requirements(handle.read())) + "\n")


if __name__ == "__main__":
    main()
