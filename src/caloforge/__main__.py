"""``python -m caloforge`` is the command ``caloforge``."""

from caloforge.cli import main

if __name__ == "__main__":
    main()
