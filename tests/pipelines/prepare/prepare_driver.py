"""Runs prepare-data with the fake processor as a process of its own, to be killed: FOLDER OUT WORKERS [RUNNER]."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    from avatarkit.errors import AvatarkitError
    from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
    from avatarkit.pipelines.prepare.run import prepare
    from avatarkit.pipelines.prepare.sources.videos import Videos

    folder, out, workers, *runner = sys.argv[1:]
    options = RunOptions(
        workers=int(workers), processor="fake_processor:open_fake", video_timeout_s=300, runner=(runner or ["local"])[0]
    )
    if "DRIVER_AS_COMMAND" in os.environ:
        prepare(PrepareJob(Videos((Path(folder),)), Path(out), run=options))
        return
    try:
        prepare(PrepareJob(Videos((Path(folder),)), Path(out), run=options))
    except AvatarkitError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def as_command() -> None:
    """The same below `avatarkit`, whose signals and errors are the real ones."""
    from avatarkit.cli import app, signals

    signals.GRACE_S = 60.0  # a busy machine takes long to end its workers in good order
    app.app.command("drive")(main)
    sys.exit(app.run(["drive"]))


if __name__ == "__main__":
    as_command() if "DRIVER_AS_COMMAND" in os.environ else main()
