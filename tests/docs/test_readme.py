"""What the README prints runs: its Python blocks, one after the other, and every command it names."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_python_blocks_run_and_say_true(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 4
    space: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), space)
    printed = capsys.readouterr().out
    assert "True" in printed and "False" not in printed


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    cli = (ROOT / "src/allegory/cli/arguments.py").read_text()
    for command in re.findall(r"^    allegory (\w+)", README, re.MULTILINE):
        assert f'subcommand("{command}")' in cli
