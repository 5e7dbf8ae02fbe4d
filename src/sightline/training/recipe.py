"""Recipes: a pretraining as a TOML file, checked field by field before anything is computed.

    [model]
    family = "gpt2"
    size = "mini"

    [objective]
    kind = "causal"

    [batches]
    rows = 64
    tokens = 128

    [training]
    learning_rate = 3e-3

    [run]
    minutes = 60

Every table is one frozen dataclass, and its fields' names are the file's.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from sightline.core.check import whole
from sightline.core.mask import Mask
from sightline.errors import ConfigError
from sightline.model.families import layout_of, sized
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.masked import Masked
from sightline.objectives.next_sentence import NextSentence
from sightline.objectives.permutation import Permutation
from sightline.objectives.prefix import PrefixLM
from sightline.objectives.text import TextObjective
from sightline.training.config import TrainingConfig
from sightline.training.toml_tables import closest, from_table

Asked = TextObjective | NextSentence
OBJECTIVES: Mapping[str, type] = {
    "causal": CausalLM,
    "masked": Masked,
    "next_sentence": NextSentence,
    "prefix": PrefixLM,
    "permutation": Permutation,
    "hybrid": Hybrid,
}
LARGEST = 2**20  # bytes of a recipe
LENGTHS = ("steps", "passes", "minutes")
MAY_CHANGE = ("checkpoint_every", "validate_every", "validation_tokens", "samples", "recompute", "compile")


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """Which network is taught.

    family, size  as `build` takes them; settings change single fields of its configuration
    mask          through which it looks, in text form; default: what suits the objective
    """

    family: str = "modernbert"
    size: str = "mini"
    mask: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        layout_of(self.family)
        sized(self.family, self.size, **self.settings)
        if self.mask is not None:
            Mask.parse(self.mask)


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """A part of the training with rows of one shape: the share of the steps that it has, rows of a step, and tokens."""

    share: float
    rows: int
    tokens: int

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"share={self.share} is a share of the steps; choose more than 0 and at most 1")
        for name in ("rows", "tokens"):
            whole(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class BatchRecipe:
    """What a step reads.

    rows, tokens  rows of a step, and tokens of a row
    stages        in their place, several shapes one after another; their shares are 1 together
    micro_rows    rows that are computed at once; a step's gradients are added up, which changes rounding, and
                  what dropout draws. None: all
    """

    rows: int = 64
    tokens: int = 128
    stages: tuple[StageRecipe, ...] = ()
    micro_rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "tokens"):
            whole(name, getattr(self, name))
        if self.micro_rows is not None:
            whole("micro_rows", self.micro_rows)
        if self.stages and abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            shares = ", ".join(f"{stage.share:g}" for stage in self.stages)
            raise ConfigError(f"the shares of the stages are {shares}; together they must be 1")

    @property
    def shapes(self) -> tuple[StageRecipe, ...]:
        """The stages: one, where none are given."""
        return self.stages or (StageRecipe(share=1.0, rows=self.rows, tokens=self.tokens),)


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """How long, and what happens meanwhile. Of steps, passes and minutes one is given.

    steps             optimizer steps
    passes            over the corpus
    minutes           on the clock: the pace decides how many steps that is, and is looked at again and again
    checkpoint_every  steps from one checkpoint to the next
    validate_every    steps from one look at the validation part to the next; validation_tokens: how much of it is read
    samples           texts that the model goes on with at each look, to be read by people; where one has a blank,
                      `<mask>` or `[MASK]`, that is filled
    average           the result is the mean of the weights over the last steps, as many as this share; 0: the last
    recompute         blocks do not keep their inner results for the way back: less memory, a third more work
    compile           PyTorch compiles the blocks: it needs a C++ compiler, and takes its time before the first step
    """

    steps: int | None = None
    passes: float | None = None
    minutes: float | None = None
    checkpoint_every: int = 200
    validate_every: int = 200
    validation_tokens: int = 65536
    samples: tuple[str, ...] = ()
    average: float = 0.0
    recompute: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "none of them is given"
            raise ConfigError(f"steps, passes and minutes each say how long it takes, and {told}; give one")
        for name in ("checkpoint_every", "validate_every", "validation_tokens"):
            whole(name, getattr(self, name))
        if self.steps is not None:
            whole("steps", self.steps)
        for name in ("passes", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e6:
                raise ConfigError(f"{name}={value} must be more than 0 and less than a million")
        if not 0 <= self.average <= 1:
            raise ConfigError(f"average={self.average} is a share of the steps; choose 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A pretraining: what is taught, what is asked of it, on which rows, how, and how long.

    corpus  the folder that `prepare` made, or a table of `files` and of what `prepare` is told to do with them; None:
            it is given beside the recipe
    """

    objective: Asked
    training: TrainingConfig
    run: RunRecipe
    model: ModelRecipe = field(default_factory=ModelRecipe)
    batches: BatchRecipe = field(default_factory=BatchRecipe)
    corpus: str | Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """What a recipe calls the objective."""
        return next(name for name, kind in OBJECTIVES.items() if type(self.objective) is kind)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Its tables, but the corpus, as JSON has them."""
        told = {
            "objective": {"kind": self.kind} | asdict(cast(Any, self.objective)),
            "model": asdict(self.model) | {"settings": dict(self.model.settings)},
            "batches": asdict(self.batches),
            "training": asdict(self.training),
            "run": asdict(self.run),
        }
        tables: dict[str, dict[str, Any]] = json.loads(json.dumps(told))
        return tables


def first_change(now: Mapping[str, Any], then: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first field, by its full name, in which two recipes' tables differ, and its values now and then; None where
    they teach the same. What changes no weight may differ, and a table that `then` lacks is not compared.
    """
    for table, fields in now.items():
        known = then.get(table)
        if not isinstance(known, Mapping):
            continue
        for name in {**fields, **known}:
            value, before = fields.get(name), known.get(name)
            if value != before and not (table == "run" and name in MAY_CHANGE):
                return f"{table}.{name}", value, before
    return None


def _objective(table: Mapping[str, Any]) -> Asked:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in OBJECTIVES:
        raise ConfigError(f"objective.kind is {kind!r}; {closest(str(kind), list(OBJECTIVES))}")
    rest = {name: value for name, value in table.items() if name != "kind"}
    found: Asked = from_table(OBJECTIVES[kind], rest, "objective")
    return found


def _recipe(table: Mapping[str, Any]) -> Recipe:
    kinds = {"model": ModelRecipe, "batches": BatchRecipe, "training": TrainingConfig, "run": RunRecipe}
    for name, value in table.items():
        if name not in ("corpus", "objective", *kinds):
            raise ConfigError(f"there is no table {name}: {closest(name, ['corpus', 'objective', *kinds])}")
        if not isinstance(value, Mapping) and not (name == "corpus" and isinstance(value, str)):
            raise ConfigError(f"{name} is {value!r:.80}; write it as a table, [{name}]")
    parts: dict[str, Any] = {name: from_table(kind, table.get(name, {}), name) for name, kind in kinds.items()}
    return Recipe(corpus=table.get("corpus"), objective=_objective(table.get("objective", {})), **parts)


def _changed(table: dict[str, Any], change: str) -> None:
    """Apply "a.b=value" to a table of tables; the value is TOML, or a text without quotes."""
    path, equals, text = change.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"{change!r} changes nothing: write it as table.field=value, such as run.minutes=10")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = path.strip().split(".")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{change!r}: {name} is no table, so nothing in it can be set")
    table[last] = value


def _found(path: Path) -> Path:
    """The file of a recipe: the path, or where it is no path but a name, the one that comes with Sightline."""
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path
    package = Path(__file__).parents[1]
    folders = (package / "recipes", package.parents[1] / "recipes")  # as installed; as in the repository
    known = {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}
    if path.name not in known:
        raise ConfigError(f"no recipe is called {path.name!r}; there are {', '.join(sorted(known))}; or give a file")
    return known[path.name]


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with changes such as "run.minutes=10" made to it; "hybrid" and other names without a
    suffix are the recipes that come with Sightline.

    Raises ConfigError for a file that cannot be read or is no TOML (with line and column), and for fields and values
    that have no meaning, each by its full name.
    """
    path = _found(Path(path))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{path} has more than {LARGEST} bytes; is it a recipe?")
        table = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    for change in changes:
        _changed(table, change)
    # What says how long replaces what the file says of that.
    told = {change.partition("=")[0].strip() for change in changes}
    if told & {f"run.{name}" for name in LENGTHS} and isinstance(table.get("run"), dict):
        for name in LENGTHS:
            if f"run.{name}" not in told:
                table["run"].pop(name, None)
    return _recipe(table)
