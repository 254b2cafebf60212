"""Runs `avatarkit batch` as a process of its own, to be killed; its arguments are the command's."""

import sys

from avatarkit.cli import app

if __name__ == "__main__":
    sys.exit(app.run(["batch", *sys.argv[1:]]))
