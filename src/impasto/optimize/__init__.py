"""The one optimisation loop."""
