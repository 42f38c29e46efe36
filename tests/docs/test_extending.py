"""The programs of docs/extending.md, from outside the package, and the commands that use them."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [shlex.split(line) for line in re.findall(r"^    allegory (.*)$", PAGE, re.MULTILINE)]

# Each program in a process of its own, forked from one that has imported torch already.
FORK = """
import json, os, runpy, sys
import allegory.cli, allegory.evaluation, allegory.models, allegory.plots, allegory.recipes
sys.path.insert(0, os.getcwd())
for kind, words in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if kind == "program":
                runpy.run_path(words, run_name="__main__")
                code = 0
            else:
                code = allegory.cli.main(words) or 0
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stdout.flush(); sys.stderr.flush()
        os._exit(int(code))
    if os.waitpid(child, 0)[1]:
        print("FAILED", words, flush=True)
"""


def run(folder, programs):
    """Run them one after another: what was printed."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, json.dumps(programs)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{ROOT / 'src'}", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of the page in a folder of their own."""
    place = tmp_path_factory.mktemp("outside")
    for name, text in FILES.items():
        (place / name).write_text(text)
    return place


def test_every_kind_of_part_is_one_file():
    table = re.findall(r"\| \[(.*?)\]\(.*\| (\d+) \|$", PAGE, re.MULTILINE)
    parts = [name for name in FILES if name.startswith("my_")]
    assert len(table) == len(parts) == 9 and all(count == "1" for _, count in table)


@pytest.mark.thorough
def test_the_programs_and_the_commands_do_what_the_page_says(folder):
    trainings = [words for words in COMMANDS if words[0] == "train"]
    others = [words for words in COMMANDS if words[0] != "train"]
    checks = [name for name in FILES if name.startswith("check_")]
    programs = [["command", words] for words in (*trainings, *others)]
    out, err = run(folder, [*programs, *(["program", name] for name in checks)])
    assert "FAILED" not in out, out + err
    said = re.findall(r"^(?:True|False)(?: (?:True|False))*$", out, re.MULTILINE)
    assert len(said) >= len(checks) and "False" not in " ".join(said), said
    assert (folder / "runs/gaussian/report.html").exists()
    assert (folder / "runs/gaussian.png").exists()
