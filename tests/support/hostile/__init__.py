"""Fuzzing of all of impasto's file readers. Run with ``python tests/support/hostile``."""
