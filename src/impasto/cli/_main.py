"""The entry point: commands by name, and the one place that catches and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.threads import spin_briefly

__all__ = ["app", "main"]

INTERRUPTED = 130

app = App(
    name="impasto",
    help="Turn a photograph or a film into a painting: impasto image photo.jpg painting.jpg -o out.png. Nothing leaves "
    "this machine.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
app.command("impasto.cli._image:image", name="image")
app.command("impasto.cli._video:video", name="video")
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
    """Runs the command and exits with 0, the error's own code, or 130 when interrupted."""
    spin_briefly()
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    if debug:
        tokens.remove("--debug")
    if not tokens or tokens[0] in app.help_flags:
        for name in app:
            app[name]  # imported only so that the list of commands can say what each is for
    try:
        code = app(tokens, result_action="return_value", exit_on_error=True, print_error=True)
    except ImpastoError as error:
        if debug:
            raise
        print(f"impasto: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("impasto: interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code or 0)
