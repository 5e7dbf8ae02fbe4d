"""The rules of the code that a machine can check, each with pieces of bad code that it must catch.

A rule is a function from one source file to the problems in it: where, and what is wrong. It looks at the syntax
tree, so names in docstrings and comments are free, and resolves names through the file's imports: `t.load` after
`import torch as t` is `torch.load`.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "sightline"

# A part imports from the rows below its own; parts in one row do not import each other.
LAYERS = (
    {"app", "pytest_plugin"},
    {"comparison", "testing"},
    {"tasks", "probing"},
    {"training", "decoding"},
    {"objectives"},
    {"model"},
    {"weights"},
    {"networks", "text"},
    {"core", "pages"},
    {"errors", "phrases"},
)
DEPTH = {part: depth for depth, row in enumerate(LAYERS) for part in row}
DOORS = {"__init__", "__main__", "app"}  # what users enter by: these may import anything


@dataclass(frozen=True)
class Source:
    """One file of the package: its name below `sightline` (`core.mask`, `core.__init__`) and its text."""

    name: str
    text: str

    @property
    def part(self) -> str:
        return self.name.split(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def imports(self) -> list[tuple[ast.AST, str, str]]:
        """Every import, wherever it stands: (node, full name of what is imported, the name it gets here)."""
        found: list[tuple[ast.AST, str, str]] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node, alias.name, alias.asname or "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = ["sightline", *self.name.split(".")][: -node.level] if node.level else []
                module = ".".join([*above, *filter(None, [node.module])])
                found += [(node, f"{module}.{alias.name}", alias.asname or alias.name) for alias in node.names]
            elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in ("import_module", "__import__"):
                found += [(node, text(word), "") for word in node.args[:1] if text(word)]
        return found

    @cached_property
    def names(self) -> list[tuple[ast.AST, str]]:
        """Every name used or imported, in full: (node, `torch.nn.functional.softmax`)."""
        known = {here: full for _, full, here in self.imports if here}
        found = [(node, full) for node, full, _ in self.imports]
        for node in self.nodes:
            name = dotted(node)
            if isinstance(node, ast.Call) and dotted(node.func) == "getattr" and len(node.args) > 1:
                name = f"{dotted(node.args[0])}.{text(node.args[1])}"
            if name:
                first, *rest = name.split(".")
                found.append((node, ".".join([known.get(first, first), *rest])))
        return found

    @cached_property
    def arguments(self) -> list[tuple[ast.AST, str]]:
        """Every argument's name, in calls and definitions."""
        return [(node, str(node.arg)) for node in self.nodes if isinstance(node, ast.keyword | ast.arg)]


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or a chain of attributes; a chain that begins with anything else begins with a dot."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def text(node: ast.AST) -> str:
    """The text that a literal holds, empty for all else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What is executed when the module is imported: all but the bodies of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from run_at_import(child)


# The rules

Problems = Iterator[tuple[ast.AST | int, str]]


def imports_point_down(source: Source) -> Problems:
    if source.part not in DEPTH and source.part not in DOORS:
        yield 1, f"sightline.{source.part} is in no layer: give it a place in LAYERS"
        return
    for node, full, _ in source.imports:
        package, *inside = full.split(".")
        target = inside[0] if inside and inside[0] in DEPTH else "__init__"
        if package != "sightline" or target == source.part or source.part in DOORS:
            continue
        if DEPTH.get(target, -1) <= DEPTH[source.part]:
            yield node, f"sightline.{source.part} may not import {full}: a part imports from the rows below its own"


def networks_get_their_mask(source: Source) -> Problems:
    banned = {"tril", "triu", "masked_fill", "scaled_dot_product_attention"}
    if source.part == "networks":
        for node, name in source.names:
            if name.split(".")[-1].rstrip("_") in banned:
                yield node, f"{name} in a network: who sees whom is a Mask, and core/attention.py applies it"


def attention_is_in_one_place(source: Source) -> Problems:
    layers = {
        "MultiheadAttention",
        "multi_head_attention_forward",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
    }
    for node, name in source.names:
        word = name.split(".")[-1]
        kernel = "scaled_dot_product" in word or word == "flex_attention"
        if source.name != "core.attention" and (kernel or (name.startswith("torch.") and word in layers)):
            yield node, f"{name} outside core/attention.py: call attend()"


def transformers_stays_outside(source: Source) -> Problems:
    early = {id(node) for node in run_at_import(source.tree)}
    for node, full, _ in source.imports:
        if full.split(".")[0] == "transformers" and (source.part != "probing" or id(node) in early):
            yield node, "transformers is a yardstick: only functions of probing/ may import it"


def nothing_from_outside_is_executed(source: Source) -> Problems:
    modules = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    runs = {"eval", "exec", "builtins.eval", "builtins.exec", "torch.hub.load", "torch.jit.load"}
    said = [(node, word) for node in source.nodes if isinstance(node, ast.Call) for word in node.keywords]
    safe = {id(call.func) for call, word in said if word.arg == "weights_only" and is_constant(word.value, True)}
    for node, name in source.names:
        if name.split(".")[0] in modules or name in runs:
            yield node, f"{name} can run code: store tensors as safetensors and the rest as JSON"
        if name == "torch.load" and id(node) not in safe and not isinstance(node, ast.ImportFrom):
            yield node, "torch.load without weights_only=True"
    for call, word in said:
        if word.arg == "allow_pickle" and not is_constant(word.value, False):
            yield call, "allow_pickle can run code"
    texts = [(node, text(node)) for node in source.nodes]
    for node, name in [*source.names, *source.arguments, *texts]:
        if name.split(".")[-1] == "trust_remote_code":
            yield node, "trust_remote_code runs code that a checkpoint brings"


def errors_are_raised(source: Source) -> Problems:
    for node in source.nodes:
        if isinstance(node, ast.Assert):
            yield node, "assert is for tests, python -O drops it: raise a child of SightlineError that says what to do"


def float64_is_made_on_the_cpu(source: Source) -> Problems:
    """Apple's GPUs have none; tests/test_elsewhere.py runs the verbs on a device that has none either."""
    for node in source.nodes:
        before = ast.walk(node.value) if isinstance(node, ast.Attribute) and node.attr == "cpu" else ()
        if any(isinstance(each, ast.Attribute) and each.attr == "double" for each in before):
            yield node, "float64 is made on the device and then copied, where there may be none: .cpu().double()"


def nothing_is_left_to_do(source: Source) -> Problems:
    for number, words in enumerate(source.text.splitlines(), start=1):
        if re.search(r"\b(TODO|FIXME)\b", words):
            yield number, "a note to self: do it, or open an issue"


def files_are_short(source: Source) -> Problems:
    length = len(source.text.splitlines())
    if length > 350:
        yield length, "more than 350 lines: a file holds one thought"


def packages_are_empty(source: Source) -> Problems:
    if source.name.endswith(".__init__"):
        for node in source.tree.body:
            if not (isinstance(node, ast.Expr) and text(node.value)):
                yield node, "the __init__.py of a sub-package holds a docstring: import from the defining module"


# The package passes

Rule = Callable[[Source], Problems]
RULES: tuple[Rule, ...] = (
    imports_point_down,
    networks_get_their_mask,
    attention_is_in_one_place,
    transformers_stays_outside,
    nothing_from_outside_is_executed,
    errors_are_raised,
    float64_is_made_on_the_cpu,
    nothing_is_left_to_do,
    files_are_short,
    packages_are_empty,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Rule) -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert PACKAGE / "errors.py" in files
    problems = []
    for file in files:
        source = Source(".".join(file.relative_to(PACKAGE).with_suffix("").parts), file.read_text(encoding="utf-8"))
        for where, what in rule(source):
            number = where if isinstance(where, int) else getattr(where, "lineno", 0)
            problems.append(f"{file.relative_to(PACKAGE.parents[1])}:{number}: {what}")
    assert not problems, "\n" + "\n".join(problems)


def test_importing_the_package_is_light() -> None:
    """What only some verbs need is imported by those verbs."""
    heavy = {"transformers", "polars", "sklearn", "scipy", "matplotlib", "typer", "rich", "datasets", "fastapi"}
    program = "import sys, sightline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "sightline" in loaded
    assert not heavy & set(loaded)


# Each rule can fail, and lets the good through

BAD = [
    (imports_point_down, "core.mask", "from sightline.model.load import load"),
    (imports_point_down, "core.mask", "import sightline.networks.bert"),
    (imports_point_down, "core.mask", "def f():\n    from ..text import tokenizer"),
    (imports_point_down, "core.mask", "import importlib\nimportlib.import_module('sightline.app.cli')"),
    (imports_point_down, "errors", "from .core.mask import Mask"),
    (imports_point_down, "networks.bert", "from sightline.text import batches"),
    (imports_point_down, "text.batches", "from sightline import networks"),
    (imports_point_down, "tasks.embed", "from sightline.probing.audit import audit"),
    (imports_point_down, "comparison.budget", "from sightline.testing import check"),
    (imports_point_down, "model.load", "from sightline import load"),
    (imports_point_down, "model.load", "import sightline as sl"),
    (imports_point_down, "helpers.misc", "import torch"),
    (networks_get_their_mask, "networks.bert", "import torch\ntorch.tril(x)"),
    (networks_get_their_mask, "networks.bert", "from torch import triu as upper"),
    (networks_get_their_mask, "networks.bert", "(x @ y).masked_fill_(z, 0)"),
    (networks_get_their_mask, "networks.bert", "getattr(torch, 'tril')(x)"),
    (
        attention_is_in_one_place,
        "core.block",
        "from torch.nn import functional as F\nF.scaled_dot_product_attention(q, k, v)",
    ),
    (attention_is_in_one_place, "core.sight", "from torch.nn.attention.flex_attention import flex_attention as flex"),
    (attention_is_in_one_place, "networks.bert", "from torch import nn\nnn.MultiheadAttention(8, 2)"),
    (transformers_stays_outside, "model.load", "def f():\n    import transformers"),
    (transformers_stays_outside, "probing.audit", "from transformers import AutoModel"),
    (transformers_stays_outside, "probing.audit", "class A:\n    import transformers.utils"),
    (nothing_from_outside_is_executed, "weights.files", "import pickle"),
    (nothing_from_outside_is_executed, "weights.files", "from joblib import load"),
    (nothing_from_outside_is_executed, "weights.files", "import torch as t\nt.load(path)"),
    (nothing_from_outside_is_executed, "weights.files", "from torch import load\nload(path, weights_only=False)"),
    (nothing_from_outside_is_executed, "weights.files", "import torch\nread = torch.load"),
    (nothing_from_outside_is_executed, "weights.files", "import numpy\nnumpy.load(path, allow_pickle=True)"),
    (nothing_from_outside_is_executed, "weights.files", "eval('1')"),
    (nothing_from_outside_is_executed, "weights.files", "exec(text)"),
    (nothing_from_outside_is_executed, "weights.files", "load(name, trust_remote_code=True)"),
    (nothing_from_outside_is_executed, "weights.files", "options = {'trust_remote_code': True}"),
    (errors_are_raised, "core.mask", "assert x"),
    (float64_is_made_on_the_cpu, "tasks.answers", "x = head(states).double().cpu().numpy()"),
    (float64_is_made_on_the_cpu, "tasks.answers", "x = weight.double().square().sum().cpu()"),
    (nothing_is_left_to_do, "core.mask", "x = 1  # TODO: more"),
    (files_are_short, "core.mask", "x = 1\n" * 351),
    (packages_are_empty, "core.__init__", "from sightline.core.mask import Mask"),
]
GOOD = [
    (imports_point_down, "app.cli", "import sightline as sl\nfrom sightline.comparison.report import write"),
    (imports_point_down, "__init__", "from sightline.app import cli"),
    (imports_point_down, "testing", "from sightline.probing.audit import audit\nfrom .errors import InputError"),
    (imports_point_down, "core.block", "import torch\nfrom .mask import Mask\nfrom ..errors import InputError"),
    (networks_get_their_mask, "networks.bert", '"""No tril here."""\nimport torch\ntorch.softmax(x, -1)'),
    (
        attention_is_in_one_place,
        "core.attention",
        "from torch.nn import functional as F\nF.scaled_dot_product_attention",
    ),
    (transformers_stays_outside, "probing.audit", "def f():\n    import transformers"),
    (
        nothing_from_outside_is_executed,
        "weights.files",
        "import torch\ntorch.load(path, weights_only=True)\nmodel.eval()",
    ),
    (float64_is_made_on_the_cpu, "tasks.answers", "x = head(states).cpu().double().numpy()"),
    (files_are_short, "core.mask", "x = 1\n" * 350),
    (packages_are_empty, "core.__init__", '"""A docstring."""'),
    (packages_are_empty, "__init__", "from sightline.core.mask import Mask"),
]


@pytest.mark.parametrize(("rule", "name", "code"), BAD)
def test_a_rule_catches(rule: Rule, name: str, code: str) -> None:
    assert list(rule(Source(name, code)))


@pytest.mark.parametrize(("rule", "name", "code"), GOOD)
def test_a_rule_lets_through(rule: Rule, name: str, code: str) -> None:
    assert not list(rule(Source(name, code)))


def test_every_rule_is_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BAD} == set(RULES)
