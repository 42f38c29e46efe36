"""`python -m allegory.cli` is the `allegory` command."""

from . import main

main()
