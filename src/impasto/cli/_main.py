"""The entry point: commands by name, and the one place that catches and prints."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from impasto._version import __version__
from impasto.cli._help import HELP_ALL, show_every_option
from impasto.cli._terminal import (
    INTERRUPTED,
    interrupts_once,
    only_our_words,
    open_missing,
    standard_output,
)
from impasto.errors import ImpastoError, InputError, OutOfMemoryError, OutputError, UsageError
from impasto.text import printable, shortened, shown
from impasto.threads import spin_briefly

__all__ = ["app", "check_arguments", "explain", "main", "run_command"]

INTERNAL = 70
"""Exit code of a defect of impasto's own."""

SENTENCE = 300
"""Longest message of a library that a sentence quotes."""

app = App(
    name="impasto",
    help="Turn a photograph or a film into a painting: impasto image photo.jpg painting.jpg -o out.png. Nothing leaves "
    "this machine.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
MORE = "--help-all shows every option. The documentation describes them with their ranges."
app.command("impasto.cli._image:image", name="image", help_epilogue=MORE)
app.command("impasto.cli._video:video", name="video", help_epilogue=MORE)
app.command("impasto.cli._flow:flow", name="flow")
app.command("impasto.cli._regions:regions", name="regions")
app.command("impasto.cli._train:train", name="train")
app.command("impasto.cli._live:live", name="live")
app.command("impasto.cli._export:export", name="export")
app.command("impasto.cli._translate:translate", name="translate")
app.command("impasto.cli._train_translator:train_translator", name="train-translator")
app.command("impasto.cli._measure:measure", name="measure")
app.command("impasto.cli._study:study", name="study")
app.command("impasto.cli._study:tune", name="tune")
app.command("impasto.cli._backbones:backbones", name="backbones")
app.command("impasto.cli._doctor:doctor", name="doctor")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits with 0, the error's own code, 70 after an internal error, or 130 when interrupted."""
    open_missing()
    spin_briefly()
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    if debug:
        tokens.remove("--debug")
    with only_our_words(debug=debug), interrupts_once():
        code = _run(tokens, debug=debug)
    sys.exit(code)


def _run(tokens: list[str], *, debug: bool) -> int:
    """Runs the command; whatever is raised becomes one sentence and an exit code."""
    try:
        check_arguments(tokens)
        with standard_output():
            return run_command(tokens)
    except BrokenPipeError:
        return 1  # whoever read the output has gone
    except BaseException as error:
        if isinstance(error, SystemExit | GeneratorExit):
            raise
        if debug:
            traceback.print_exc()
        sentence, code = explain(error)
        with contextlib.suppress(OSError):
            print(f"impasto: {printable(sentence)}", file=sys.stderr)
        return code


def run_command(tokens: list[str]) -> int:
    """Parses the arguments and runs their command; returns its exit code."""
    if HELP_ALL in tokens:
        show_every_option()
        tokens = ["--help" if token == HELP_ALL else token for token in tokens]
    if not tokens or tokens[0] in app.help_flags:
        for name in app:
            app[name]  # imported only so that the list of commands can say what each is for
    code = app(tokens, result_action="return_value", exit_on_error=False, print_error=False)
    return code or 0


def check_arguments(tokens: Sequence[str]) -> None:
    """Refuses arguments that no file system and no text of ours can take.

    Raises:
        UsageError: An argument is not UTF-8, or holds a NUL byte.
    """
    for number, token in enumerate(tokens, 1):
        if "\0" in token:
            raise UsageError(f"argument {number} got {shown(token)}; allowed is text without NUL.")
        try:
            token.encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"argument {number} got {shown(token)}, which is not UTF-8; rename the file, or set a UTF-8 locale."
            ) from error


def explain(error: BaseException) -> tuple[str, int]:
    """One sentence about an error, and the exit code."""
    match error:
        case ImpastoError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return "interrupted.", INTERRUPTED
        case CycloptsError():
            return _explain_arguments(error), UsageError.exit_code
        case MemoryError():
            return "memory ran out; choose a smaller --size.", OutOfMemoryError.exit_code
        case OSError() if error.strerror:
            return _explain_system(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"an internal error: {shortened(what, SENTENCE)}; run again with --debug and report it.",
        INTERNAL,
    )


def _explain_arguments(error: CycloptsError) -> str:
    """What the parser says, in our form."""
    error.verbose = False
    command = " ".join(["impasto", *(error.command_chain or ())])
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        missing = f"{name} needs a value" if error.keyword else f"{name} is missing"
        return f"{missing}; see {command} --help."
    text = shortened(" ".join(str(error).split()), SENTENCE)
    return text if text.endswith((".", "?", "!")) else f"{text}; see {command} --help."


def _explain_system(error: OSError) -> tuple[str, int]:
    """What the system says of a file."""
    reason = str(error.strerror).lower()
    if error.filename is None:
        return (
            f"a file or the output cannot be written or read ({reason}); check the disk and permissions.",
            OutputError.exit_code,
        )
    name = shown(os.fsdecode(error.filename) if not isinstance(error.filename, int) else "")
    return (
        f"{name} cannot be read or written ({reason}); check the name and its permissions.",
        InputError.exit_code,
    )
