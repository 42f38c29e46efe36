"""Static figures of the source: names, docstrings, parameters, density, coined words.

    python -m benchmarks words                      the table
    python -m benchmarks.words --list parameters    the places behind one figure: `name:line  what`
    python -m benchmarks.words --in sampling        of one folder of src/allegory
    python -m benchmarks.words --json               one JSON object

Nothing is imported: all figures come from the syntax trees of `src/allegory` (lines over 100
columns also of `tests` and `benchmarks`).
"""

import argparse
import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "allegory"

BOUNDS = {
    "public names defined in more than one module": (0, 10),
    "switches on concrete model classes outside models/": (0, 3),
    "functions with more than five parameters": (0, 12),
    "parameters named in docstrings, %": (95, 100),
    "lines above 100 columns": (0, 0),
    "blank lines in function bodies, %": (8, 100),
    "coined words in names": (0, 0),
    "coined words in first docstring lines": (0, 0),
}
"""The lowest and the highest value that the house rules allow."""

KEYS = dict(
    zip(
        ("duplicates", "switches", "parameters", "docstrings", "lines", "blank", "names", "prose"),
        BOUNDS,
        strict=True,
    )
)
"""What `--list` takes, and the figure that it is behind."""

COINED_PARTS = {
    "belief", "beliefs", "believe", "believed", "told", "tells", "asked", "asks", "stands", "stand",
    "kept", "walk", "walks", "walked", "march", "marched", "tangent", "spread", "share", "shares",
    "beside", "stir", "stirred", "borrow", "borrowed", "judge", "reader", "shade", "shades", "bend",
    "tempered", "resplit", "placing", "unrolled", "farthest", "widest", "steepest", "arrival",
}  # fmt: skip
"""Parts of names (split at underscores and capitals) that are not the field's terms."""

COINED_NAMES = {
    "Row", "Rows", "ROWS", "row_of", "Move", "Stay", "Moved", "AtLevel", "Tally", "Sampled",
    "Tuned",
    "Coded", "Rung", "Mixed", "Given", "Straight", "Squared", "Book", "Dry", "Reading", "Probe",
    "give_back", "towards", "landed", "even_in_log_snr", "in_score", "over_log_snr", "fresh_std",
    "LatentModel", "ModelChoice", "PathChoice", "intensity", "ascend", "descend",
    "gauge", "MOST", "AT_ONCE", "MEASURED", "NAMED", "MEMORY",
}  # fmt: skip
"""Whole names that were replaced."""

COINED_PHRASES = (
    r"belie(f|fs|ve|ves|ved)\b", r"\basks?\b", r"\basked\b", r"\btells?\b", r"\btold\b",
    r"\bstands?\b(?! for)",
    r"\bstood\b", r"\bkept\b", r"\bgoes on\b", r"\bof which\b", r"\bwalk(s|ed|ing)?\b",
    r"\bmarch(es|ed|ing)?\b", r"\btangent\b", r"\bspreads?\b", r"\bborrow(s|ed)?\b", r"\bdrowns?\b",
    r"\bstir(s|red)?\b", r"\bsilent\b", r"\bhears?\b", r"\bpast is read\b", r"\brow of the pair\b",
    r"\b(number|numbers|draw|value|one|chain|seed|weight|length|step|steps|update) an? item\b",
    r"\ban? item (by|has|at|in|its)\b", r"\b(evaluation|evaluations|draw|draws|us|ms) an? step\b",
    r"\bshares? of\b", r"\bresplit\b", r"\btempered\b", r"\bbeside\b",
)  # fmt: skip
"""Patterns that a first docstring line does not contain."""


@dataclass
class Report:
    """The figures by name, and the places behind each."""

    figures: dict[str, float] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """A parsed file."""

    path: Path
    name: str
    text: str
    tree: ast.Module

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 1)}  {what}"


Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(folder: Path) -> list[Module]:
    """The Python files below `folder`, parsed."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        found.append(Module(path, str(path.relative_to(ROOT)), text, ast.parse(text)))
    return found


def functions(tree: ast.AST) -> Iterator[tuple[Function, ast.ClassDef | None]]:
    """All functions at the top of a module and in its classes, with their class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function):
            yield node, tree if isinstance(tree, ast.ClassDef) else None
        elif isinstance(node, ast.ClassDef | ast.If):
            yield from functions(node)


def parameters(function: Function) -> list[str]:
    """Names of the parameters, without self, cls and star parameters."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def is_overload(function: Function) -> bool:
    """Whether it is a typing.overload."""
    return any("overload" in ast.dump(each) for each in function.decorator_list)


def definitions(tree: ast.Module) -> Iterator[str]:
    """Public names that a module defines at its top."""
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, Function | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            parts = [part for target in node.targets for part in ast.walk(target)]
            names = [part.id for part in parts if isinstance(part, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        yield from (name for name in names if not name.startswith("_"))


def duplicates(files: list[Module]) -> list[str]:
    """Public names of more than one module; paper/, one module an equation, is left out."""
    homes = defaultdict(set)
    for module in files:
        if "/paper/" in module.name or (
            "/cli/" in module.name and module.path.name == "__main__.py"
        ):
            continue
        for name in definitions(module.tree):
            homes[name].add(module.name.removeprefix("src/allegory/"))
    return [
        f"{name}: {', '.join(sorted(where))}"
        for name, where in sorted(homes.items())
        if len(where) > 1
    ]


def model_classes(files: list[Module]) -> set[str]:
    """Concrete classes of models/ that are nn.Modules, by name."""
    bases = {
        node.name: {ast.unparse(base).partition("[")[0] for base in node.bases}
        for module in files
        if "/models/" in module.name
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }
    found: set[str] = set()
    while True:
        grown = {name for name, above in bases.items() if above & {"nn.Module", *found}}
        if grown == found:
            return found
        found = grown


def switches(files: list[Module], classes: set[str]) -> list[str]:
    """isinstance calls, type comparisons and match cases on these classes, outside models/."""
    found = []
    for module in files:
        if "/models/" in module.name:
            continue
        for node in ast.walk(module.tree):
            named: set[str] = set()
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "isinstance",
                "issubclass",
            ):
                named = (
                    set(re.findall(r"\w+", ast.unparse(node.args[1]))) if node.args[1:] else set()
                )
            elif isinstance(node, ast.MatchClass):
                named = set(re.findall(r"\w+", ast.unparse(node.cls)))
            elif isinstance(node, ast.Compare) and "type(" in ast.unparse(node):
                named = set(re.findall(r"\w+", ast.unparse(node)))
            if named & classes:
                found.append(module.at(node, ast.unparse(node)))
    return found


def long_signatures(files: list[Module]) -> list[str]:
    """Functions and methods with more than five parameters."""
    return [
        module.at(function, f"{function.name} ({len(parameters(function))})")
        for module in files
        for function, _ in functions(module.tree)
        if len(parameters(function)) > 5 and not is_overload(function)
    ]


def unnamed(files: list[Module]) -> tuple[int, list[str]]:
    """Parameters of public functions, and those that no docstring of theirs names.

    A method's parameters may be named in its own docstring or in that of its class, those of
    `__init__` in that of the class.
    """
    total, missing = 0, []
    for module in files:
        for function, owner in functions(module.tree):
            hidden = function.name.startswith("_") and function.name not in ("__init__", "__call__")
            if hidden or (owner and owner.name.startswith("_")) or is_overload(function):
                continue
            text = ast.get_docstring(function) or ""
            text += "\n" + (ast.get_docstring(owner) or "") if owner else ""
            for name in parameters(function):
                total += 1
                if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
                    missing.append(module.at(function, f"{function.name}: {name}"))
    return total, missing


def wide_lines(files: list[Module]) -> list[str]:
    """Lines of more than 100 characters."""
    return [
        f"{module.name}:{number}  {len(line)} columns"
        for module in files
        for number, line in enumerate(module.text.splitlines(), 1)
        if len(line) > 100
    ]


def blank_lines(files: list[Module]) -> tuple[int, int, list[str]]:
    """Lines of function bodies, the blank ones among them, and long functions without any."""
    total, blank, dense = 0, 0, []
    for module in files:
        lines = module.text.splitlines()
        for function, _ in functions(module.tree):
            first = 1 if ast.get_docstring(function) is not None else 0
            if len(function.body) <= first or function.end_lineno is None:
                continue
            body = lines[function.body[first].lineno - 1 : function.end_lineno]
            empty = sum(not line.strip() for line in body)
            total, blank = total + len(body), blank + empty
            if len(body) > 8 and not empty:
                dense.append(module.at(function, f"{function.name}: {len(body)} lines, none blank"))
    return total, blank, dense


def defined_names(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Names that a module defines: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.attr


def coined_names(files: list[Module]) -> list[str]:
    """Defined names, and names of files, with a coined part or among those replaced."""
    found = []
    for module in files:
        named: list[tuple[ast.AST, str]] = [(module.tree, module.path.stem)]
        for node, name in [*named, *defined_names(module.tree)]:
            parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
            if name.strip("_") in COINED_NAMES or parts & COINED_PARTS:
                found.append(module.at(node, name))
    return found


def first_lines(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """First lines of all docstrings of a module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function):
            text = ast.get_docstring(node)
            if text:
                yield node, text.splitlines()[0]


def coined_prose(files: list[Module]) -> list[str]:
    """First docstring lines with a pattern of COINED_PHRASES."""
    pattern = re.compile("|".join(COINED_PHRASES), re.IGNORECASE)
    return [
        module.at(node, f"[{found.group()}]  {line}")
        for module in files
        for node, line in first_lines(module)
        if (found := pattern.search(line))
    ]


def measure(folder: str = "") -> Report:
    """All figures of `src/allegory/<folder>`, with the places behind them."""
    everything = modules(SOURCE)
    prefix = f"src/allegory/{folder}"
    files = [module for module in everything if module.name.startswith(prefix)]
    wide = files if folder else files + modules(ROOT / "tests") + modules(ROOT / "benchmarks")
    total, missing = unnamed(files)
    body, blank, dense = blank_lines(files)
    lists = {
        "duplicates": duplicates(everything),
        "switches": switches(files, model_classes(everything)),
        "parameters": long_signatures(files),
        "docstrings": missing,
        "lines": wide_lines(wide),
        "blank": dense,
        "names": coined_names(files),
        "prose": coined_prose(files),
    }

    if folder:
        lists["duplicates"] = [line for line in lists["duplicates"] if f"{folder}/" in line]
    figures: dict[str, float] = {KEYS[key]: len(places) for key, places in lists.items()}
    figures[KEYS["docstrings"]] = round(100 * (1 - len(missing) / max(total, 1)), 1)
    figures[KEYS["blank"]] = round(100 * blank / max(body, 1), 1)
    return Report(figures, {KEYS[key]: places for key, places in lists.items()})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Static figures of the source.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--in", dest="folder", default="", help="a folder of src/allegory")
    parser.add_argument("--list", choices=[*KEYS, "all"], help="print the places behind a figure")
    arguments = parser.parse_args()
    report = measure(arguments.folder)
    if arguments.json:
        print(json.dumps(report.figures))
        return
    for key, name in KEYS.items():
        low, high = BOUNDS[name]
        figure = report.figures[name]
        word = "ok" if low <= figure <= high else f"at least {low}" if low else f"at most {high}"
        print(f"{key:<12}{name:<54}{figure:>8g}   {word}")
        if arguments.list in (key, "all"):
            print("\n".join(f"    {place}" for place in report.places[name]))


if __name__ == "__main__":
    main()
