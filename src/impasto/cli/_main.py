"""The entry point: registers the commands, and catches and prints all errors."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Group, MissingArgumentError

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
from impasto.text import is_utf8, printable, shortened, shown
from impasto.threads import spin_briefly

__all__ = ["app", "check_arguments", "explain", "main", "run_command"]

INTERNAL = 70
"""Exit code for an internal error."""

SENTENCE = 300
"""Maximum length of a library's message that is quoted in an error."""

RENAMED = {
    "--judge": "--evaluator",
    "--judge-weights": "--evaluator-weights",
    "--judge-channels": "--discriminator-channels",
    "--judge-layers": "--discriminator-layers",
}
"""Options that had another name in version 0.2; the old names still work."""

app = App(
    name="impasto",
    help="Paint images and videos in the style of any painting, for example: impasto image photo.jpg painting.jpg "
    "-o out.png. Everything runs on this machine.",
    version=__version__,
    group_parameters=Group.create_default_parameters("Options"),
    suppress_keyboard_interrupt=False,
)
MORE = "--help-all shows every option. The documentation describes them with their ranges."
app.command("impasto.cli._image:image", name="image", help_epilogue=MORE)
app.command("impasto.cli._estimate:estimate", name="estimate", help_epilogue=MORE)
app.command("impasto.cli._video:video", name="video", help_epilogue=MORE)
app.command("impasto.cli._plan:plan", name="plan")
app.command("impasto.cli._plan:keyframes", name="keyframes")
app.command("impasto.cli._flow:flow", name="flow")
app.command("impasto.cli._regions:regions", name="regions")
app.command("impasto.cli._train:train", name="train")
app.command("impasto.cli._live:live", name="live")
app.command("impasto.cli._export:export", name="export")
app.command("impasto.cli._translate:translate", name="translate", help_epilogue=MORE)
app.command("impasto.cli._train_translator:train_translator", name="train-translator")
app.command("impasto.cli._measure:measure", name="measure")
app.command("impasto.cli._study:study", name="study")
app.command("impasto.cli._study:tune", name="tune", help_epilogue=MORE)
app.command("impasto.cli._backbones:backbones", name="backbones")
app.command("impasto.cli._doctor:doctor", name="doctor")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits with 0, the error's exit code, 70 for an internal error, or 130 if interrupted."""
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
    """Runs the command and turns any exception into a one-sentence message and an exit code."""
    try:
        check_arguments(tokens)
        with standard_output():
            return run_command(tokens)
    except BrokenPipeError:
        return 1  # the reader of the output has exited
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
    """Parses the arguments, runs the command, and returns its exit code."""
    tokens = [_current_name(token) for token in tokens]
    if HELP_ALL in tokens:
        show_every_option()
        tokens = ["--help" if token == HELP_ALL else token for token in tokens]
    if not tokens or tokens[0] in app.help_flags:
        for name in app:
            app[name]  # imports the command, so that the list shows its description
    code = app(tokens, result_action="return_value", exit_on_error=False, print_error=False)
    return code or 0


def _current_name(token: str) -> str:
    """Replaces the name of an option that was renamed."""
    name, equals, value = token.partition("=")
    return f"{RENAMED.get(name, name)}{equals}{value}"


def check_arguments(tokens: Sequence[str]) -> None:
    """Rejects arguments that can be neither a path nor printable text.

    Raises:
        UsageError: An argument is not UTF-8, or contains a NUL byte.
    """
    for number, token in enumerate(tokens, 1):
        if "\0" in token:
            raise UsageError(f"argument {number}, {shown(token)}, contains a NUL byte; remove it.")
        if not is_utf8(token):
            raise UsageError(
                f"argument {number}, {shown(token)}, is not UTF-8; rename the file, or set a UTF-8 locale."
            )


def explain(error: BaseException) -> tuple[str, int]:
    """Returns a one-sentence message for an error, and its exit code."""
    match error:
        case ImpastoError():
            return str(error), error.exit_code
        case KeyboardInterrupt():
            return "interrupted.", INTERRUPTED
        case CycloptsError():
            return _explain_arguments(error), UsageError.exit_code
        case MemoryError():
            return "out of memory; choose a smaller --size.", OutOfMemoryError.exit_code
        case OSError() if error.strerror:
            return _explain_system(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"internal error: {shortened(what, SENTENCE)}; run again with --debug, and report the traceback.",
        INTERNAL,
    )


def _explain_arguments(error: CycloptsError) -> str:
    """Reformats an error message of the argument parser."""
    error.verbose = False
    command = " ".join(["impasto", *(error.command_chain or ())])
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        name = error.keyword or error.argument.name
        missing = f"{name} requires a value" if error.keyword else f"{name} is missing"
        return f"{missing}; see {command} --help."
    text = shortened(" ".join(str(error).split()), SENTENCE)
    return text if text.endswith((".", "?", "!")) else f"{text}; see {command} --help."


def _explain_system(error: OSError) -> tuple[str, int]:
    """Returns the message and exit code for an operating system error."""
    reason = str(error.strerror).lower()
    if error.filename is None:
        return (
            f"a file or the output cannot be read or written ({reason}); check the disk and permissions.",
            OutputError.exit_code,
        )
    name = shown(os.fsdecode(error.filename) if not isinstance(error.filename, int) else "")
    return (
        f"{name} cannot be read or written ({reason}); check the path and its permissions.",
        InputError.exit_code,
    )
