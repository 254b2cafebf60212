"""The `avatarkit` command, also as `python -m avatarkit`."""

import signal


def main() -> None:
    """Run the command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the command heeds it itself, Ctrl-C ends the program without Python's traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from avatarkit.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
