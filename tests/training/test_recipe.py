"""Recipes: what a file says, what is changed on the way, and errors that name the field."""

from pathlib import Path

import pytest

from sightline.errors import ConfigError
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.masked import Masked
from sightline.training.recipe import Recipe, StageRecipe, read_recipe

WHOLE = """
corpus = "texts"

[model]
family = "gpt2"
size = "tiny"
settings = {dropout = 0}

[objective]
kind = "hybrid"
masked = 0.75
masking = {rate = 0.4, unit = "spans", shifted = true}

[batches]
micro_rows = 4
stages = [{share = 0.5, rows = 8, tokens = 64}, {share = 0.5, rows = 4, tokens = 128}]

[training]
learning_rate = 1
optimizer = "muon"
betas = [0.9, 0.95]

[run]
minutes = 60
samples = ["Once"]
"""


def read(tmp_path: Path, text: str = WHOLE, *changes: str) -> Recipe:
    (tmp_path / "recipe.toml").write_text(text)
    return read_recipe(tmp_path / "recipe.toml", changes)


def test_all_that_a_file_says(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    assert (recipe.corpus, recipe.model.size, recipe.model.settings) == ("texts", "tiny", {"dropout": 0})
    assert recipe.objective == Hybrid(masked=0.75, masking=Masked(rate=0.4, unit="spans", shifted=True))
    assert recipe.batches.shapes[1] == StageRecipe(share=0.5, rows=4, tokens=128)
    assert (recipe.training.learning_rate, recipe.training.betas) == (1.0, (0.9, 0.95))
    assert type(recipe.training.learning_rate) is float
    assert (recipe.run.minutes, recipe.run.steps, recipe.run.samples) == (60.0, None, ("Once",))


def test_changes(tmp_path: Path) -> None:
    """TOML values, or texts without quotes; one way to say how long replaces another."""
    changes = ("model.size=mini", "run.steps=7", "objective.masking.rate=0.2", "model.settings.dropout=0.1")
    recipe = read(tmp_path, WHOLE, *changes)
    assert (recipe.model.size, recipe.run.steps, recipe.run.minutes) == ("mini", 7, None)
    assert recipe.objective.masking.rate == 0.2 and recipe.model.settings == {"dropout": 0.1}
    short = '[objective]\nkind = "causal"\n[training]\nlearning_rate = 1e-3\n[run]\nsteps = 3\n'
    assert read(tmp_path, short).objective == CausalLM()
    assert read(tmp_path, short, "corpus=there").corpus == "there"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("training.lr=1", r"no field training\.lr: there are .*learning_rate"),
        ("training.learnin_rate=1", r"no field training\.learnin_rate: did you mean 'learning_rate'\?"),
        ("training.learning_rate=fast", r"training\.learning_rate is 'fast'; it must be a number"),
        ("training.learning_rate=-1", r"training: .*more than 0"),
        ("training.learning_rate=0", r"training: learning_rate=0\.0 must be more than 0"),
        ("training.optimizer=sgd", r"training\.optimizer is 'sgd'; it must be one of adamw, muon"),
        ("training.betas=[0.9]", r"training\.betas is \[0\.9\]; it must be a list of 2, each a number"),
        ("training.betas=['a','b']", r"training\.betas is \['a', 'b'\]; it must be a list of 2, each a number"),
        ("training.clip=none", r"training\.clip is 'none'; it must be a number"),
        ("run.samples=[1]", r"run\.samples is \[1\]; it must be a list, each a text"),
        ("run.samples=Once", r"run\.samples is 'Once'; it must be a list, each a text"),
        ("run.steps=1.5", r"run\.steps is 1\.5; it must be a whole number"),
        ("run.compile=yes", r"run\.compile is 'yes'; it must be true or false"),
        ("objective.masking=5", r"objective\.masking is 5; it must be a table"),
        ("batches.stages=['a']", r"batches\.stages is \['a'\]; it must be a list, each a table"),
        ("objective.kind=causl", r"objective\.kind is 'causl'; did you mean 'causal'\?"),
        ("objective.masking.rate=2", r"objective\.masking: rate=2"),
        ("objective.masking.ratte=2", r"no field objective\.masking\.ratte: did you mean 'rate'\?"),
        ("batches.stages=[]", None),
        ("batches.stages=[{share=1,rows=8}]", r"batches\.stages\[0\] lacks tokens"),
        ("batches.stages=[{share=0.4,rows=8,tokens=8}]", r"batches: the shares of the stages are 0\.4; together"),
        ("batches.rows=0", r"batches: rows=0 must be a whole number, 1 or more"),
        ("batches.rows=1.5", r"batches\.rows is 1\.5; it must be a whole number"),
        ("model.family=gtp2", r"model: .*did you mean 'gpt2'"),
        ("model.size=huge", "model: .*huge"),
        ("model.settings.layerz=3", "model: .*layerz"),
        ("model.mask=causel", "model: .*did you mean causal"),
        ("run.average=2", r"run: average=2\.0 is a share"),
        ("run.minutes=0", r"run: minutes=0\.0 must be more than 0 and less than a million"),
        ("run.minutes=1e6", r"run: minutes=1000000\.0 must be more than 0 and less than a million"),
        ("tranining.seed=1", "no table tranining: did you mean 'training'"),
        ("training=3", r"training is 3; write it as a table, \[training\]"),
        ("corpus=3", r"corpus is 3; write it as a table, \[corpus\]"),
        ("corpus.a=1", "'corpus.a=1': corpus is no table"),
        ("steps", "'steps' changes nothing: write it as table.field=value"),
    ],
)
def test_what_has_no_meaning_is_named(tmp_path: Path, change: str, says: str | None) -> None:
    if says is None:
        assert read(tmp_path, WHOLE, change).batches.shapes[0].share == 1
        return
    with pytest.raises(ConfigError, match=says) as caught:
        read(tmp_path, WHOLE, change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = ]", "is no TOML: .*line 1"),
        ('[objective]\nkind = "causal"\n[run]\nsteps = 1\n', "training lacks learning_rate"),
        ('[objective]\nkind = "causal"\n[training]\nlearning_rate = 1\n', "run: steps, passes and minutes .*none"),
        ("[training]\nlearning_rate = 1\n[run]\nsteps = 1\nminutes = 2\n", "steps and minutes; give one"),
        ("[training]\nlearning_rate = 1\n[run]\nsteps = 1\n", "objective.kind is None"),
        ("x" * 2**21, "more than 1048576 bytes"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, text)
    with pytest.raises(ConfigError, match="cannot read the recipe"):
        read_recipe(tmp_path / "absent.toml")
