"""The command line. It only parses arguments and displays results."""

from impasto.cli._main import main

__all__ = ["main"]
