"""Every command that the README names exists (its Python blocks run in `test_pages.py`)."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    cli = (ROOT / "src/allegory/cli/parse.py").read_text()
    for command in re.findall(r"^    allegory (\w+)", README, re.MULTILINE):
        assert f'subcommand("{command}")' in cli
