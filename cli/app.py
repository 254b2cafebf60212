"""The `avatarkit` command: one Typer app, one place where errors become one line and an exit code."""

from __future__ import annotations

import errno
import faulthandler
import io
import os
import select
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from avatarkit import __version__
from avatarkit.cli import (
    batch,
    bench,
    cache,
    data,
    demo,
    doctor,
    evaluate,
    export,
    gallery,
    inspect,
    motion,
    personalize,
    prepare,
    reenact,
    study,
    train,
    weights,
)
from avatarkit.cli.console import Console, OutputClosedError
from avatarkit.cli.signals import INTERRUPTED, Interrupts, leave, line
from avatarkit.cli.text import collapse
from avatarkit.errors import AvatarkitError, DependencyError, InputError, Interrupted, OutputError, UsageError
from avatarkit.runtime import silence_native_log

EXIT_INTERNAL = AvatarkitError.exit_code
EXIT_OUTPUT_CLOSED = 141
_NO_ROOM = {
    errno.ENOSPC: "free some space or write elsewhere",
    errno.EDQUOT: "free some space or write elsewhere",
    errno.EFBIG: "raise the limit (ulimit -f), or write elsewhere",
}
_NO_MEMORY = ("failed to map segment", "annot allocate memory", "not enough memory", "nsufficient memory", "bad_alloc",
              "can't start new thread", "Failed to allocate")

app = typer.Typer(name="avatarkit", add_completion=False, pretty_exceptions_enable=False)
cache_app = typer.Typer(help="Look at or clear what reenact and batch keep by --cache.", add_completion=False)
motion_app = typer.Typer(help="Extract and inspect motion files.", add_completion=False)
prepare_app = typer.Typer(help="Make datasets from videos and photos.", add_completion=False)
data_app = typer.Typer(help="Look at datasets, check, choose, export, remove.", add_completion=False)
train_app = typer.Typer(help="Train the networks, stage by stage.", add_completion=False)
evaluate_app = typer.Typer(help="Measure reenactments, of any engine or program.", add_completion=False)
export_app = typer.Typer(help="Networks as files for other programs.", add_completion=False)
weights_app = typer.Typer(help="Fetch, check and list other people's networks.", add_completion=False)
app.command("reenact")(reenact.reenact)
app.command("personalize")(personalize.personalize)
app.command("batch", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(batch.batch)
app.add_typer(cache_app, name="cache")
cache_app.command("info")(cache.info)
cache_app.command("clear")(cache.clear)
app.add_typer(motion_app, name="motion")
motion_app.command("extract")(motion.extract)
motion_app.command("show")(motion.show)
app.add_typer(prepare_app, name="prepare-data")
prepare_app.command("voxceleb2")(prepare.voxceleb2)
prepare_app.command("ffhq")(prepare.ffhq)
prepare_app.command("videos")(prepare.videos)
app.add_typer(data_app, name="data")
data_app.command("info")(data.info)
data_app.command("verify")(data.verify)
data_app.command("report")(data.report)
data_app.command("reselect")(data.reselect)
data_app.command("export")(data.export)
data_app.command("remove")(data.remove)
app.add_typer(train_app, name="train")
train.add_commands(train_app)
app.add_typer(evaluate_app, name="evaluate")
evaluate_app.command("self")(evaluate.self_reenactment)
evaluate_app.command("cross")(evaluate.cross_reenactment)
evaluate_app.command("videos")(evaluate.videos)
evaluate_app.command("compare")(evaluate.compare)
study_app = typer.Typer(help="Ask people which of two methods they prefer.", add_completion=False)
evaluate_app.add_typer(study_app, name="study")
study_app.command("build")(study.build)
study_app.command("read")(study.read)
app.add_typer(export_app, name="export")
export_app.command("student")(export.student)
app.add_typer(weights_app, name="weights")
weights_app.command("list")(weights.list_all)
weights_app.command("fetch")(weights.fetch)
weights_app.command("verify")(weights.verify)
weights_app.command("import")(weights.import_file)
weights_app.command("path")(weights.path)
weights_app.command("licences")(weights.licences)
app.command("demo")(demo.demo)
app.command("gallery")(gallery.gallery)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)
app.command("inspect")(inspect.inspect)


def _show_version(wanted: bool) -> None:
    if wanted:
        Console().summary([f"avatarkit {__version__}"])
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Make a portrait move and speak like a driver video, on a CPU and without weights."""


def main() -> None:
    """Run the command line and exit with its code."""
    _settle_process()
    leave(run(sys.argv[1:], last=True))


def run(arguments: Sequence[str], *, last: bool = False) -> int:
    """Run one command; whatever goes wrong becomes one line on stderr.

    Args:
        arguments: the words after `avatarkit`; none at all asks for the help.
        last: the process ends right after it, so that a request to end comes too late for anything.

    Returns:
        The exit code: 0 done, 2 usage, 3 input, 4 output, 5 missing dependency, 70 internal error,
        128 and the signal's number where one ended it, 141 the reader of stdout left.
    """
    with Interrupts(last=last) as interrupts:
        return interrupts.code(_guarded(arguments or ["--help"], interrupts))


def _guarded(arguments: Sequence[str], interrupts: Interrupts) -> int:
    console = Console()
    try:
        try:
            return _invoke(arguments)
        finally:
            interrupts.over = True  # a later request must not cut short what is said below
    except typer.TyperException as error:
        console.error(_usage_message(error))
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        console.failure(line())
        return INTERRUPTED
    except (OutputClosedError, SystemExit) as ended:
        # rich, which prints the help, ends the program where the reader has left.
        if isinstance(ended, SystemExit) and not isinstance(ended.__context__, BrokenPipeError):
            raise
        return _output_closed()
    except Exception as error:  # noqa: BLE001  the last resort: a user sees one line, never a traceback
        if interrupts.number is not None and not isinstance(error, Interrupted):
            console.failure(line())  # what libraries make of an interruption within them
            return INTERRUPTED
        if isinstance(error, BrokenPipeError) and _reader_has_left():
            return _output_closed()
        code, message = _explain(error)
        console.error(message)
        if os.environ.get("AVATARKIT_DEBUG"):
            traceback.print_exception(error)
        return code


def _output_closed() -> int:
    """Python flushes stdout once more at exit, which would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OUTPUT_CLOSED


def _reader_has_left() -> bool:
    """Whether stdout is a pipe that nobody reads any more."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no poll on this system, or no stdout
        return False


def _invoke(arguments: Sequence[str]) -> int:
    # Not Typer's own entry: it would print errors in its way and turn any broken pipe into silence.
    command = typer.main.get_command(app)
    try:
        with command.make_context("avatarkit", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as request:
        return request.exit_code
    return 0


def _usage_message(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "avatarkit"
    what = collapse(error.format_message()).replace("Value error, ", "").rstrip(".")
    return f"{what}; see {path} --help"


def _explain(error: Exception) -> tuple[int, str]:
    """Exit code and message of an error that ended a command."""
    if isinstance(error, AvatarkitError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        where = f"{error.filename}: " if error.filename else ""
        return OutputError.exit_code, f"{where}{error.strerror}; {_NO_ROOM[error.errno]}"
    if _out_of_memory(error):
        what = "there is not enough memory; end other programs, raise the limit (ulimit -v), or use a smaller --size"
        return DependencyError.exit_code, what
    if isinstance(error, FileNotFoundError) and _folder_is_gone():
        return InputError.exit_code, "the folder in which this was started is gone; change to another one"
    what = collapse(f"{type(error).__name__}: {error}").rstrip(": ")
    return EXIT_INTERNAL, f"internal error: {what} (set AVATARKIT_DEBUG=1 for the traceback)"


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, says so in any of the ways in which libraries do."""
    while error is not None:
        text = str(error)
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        library = isinstance(error, (ImportError, RuntimeError)) or type(error).__module__ == "cv2"
        if library and any(part in text for part in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False


def _folder_is_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _settle_process() -> None:
    """Let any file name be printed in any locale, keep other packages' chatter off the terminal, yield idle cores."""
    while (unused := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # streams that are closed: files of ours must not take their place
    os.close(unused)
    # Before torch loads: its threads would spin while they wait, which on a busy machine costs tenfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  closed by the shell
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("AVATARKIT_DEBUG"):
        return
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    silence_native_log()
    faulthandler.enable(file=sys.stderr)
