"""The command line. It only parses arguments and displays results."""

from impasto.cli._main import app, main

__all__ = ["app", "main"]
