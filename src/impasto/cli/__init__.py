"""The command. It translates and shows, nothing more."""

from impasto.cli._main import main

__all__ = ["main"]
