"""The command line: it parses arguments, calls the library, and shows what happens."""

from impasto.cli._main import app, main

__all__ = ["app", "main"]
