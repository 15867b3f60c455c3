"""`python -m impasto`, which `torchrun` needs."""

from impasto.cli import main

if __name__ == "__main__":
    main()
