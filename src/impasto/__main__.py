"""Entry point of `python -m impasto`, which `torchrun` requires."""

from impasto.cli import main

if __name__ == "__main__":
    main()
