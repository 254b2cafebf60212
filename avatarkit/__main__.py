"""The `avatarkit` command, also as `python -m avatarkit`."""

import os
import signal


def main() -> None:
    """Run the command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the command heeds it itself, Ctrl-C ends the program without Python's traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Its threads wait busily for more after every product, and take the time of what decodes, draws and encodes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from avatarkit.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
