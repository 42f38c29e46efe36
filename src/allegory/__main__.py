"""`python -m allegory` is the `allegory` command."""

from .cli import main

main()
