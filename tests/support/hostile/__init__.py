"""Damaged files, thrown at every reader of impasto. Run with ``python tests/support/hostile``."""
