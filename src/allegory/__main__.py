"""`python -m allegory` is the `allegory` command."""

from .cli import main

if __name__ == "__main__":
    main()
