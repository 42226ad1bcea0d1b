"""``python -m trm`` is the ``trm`` command."""

from trm.cli import main

if __name__ == "__main__":
    main()
