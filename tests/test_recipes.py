"""The recipes that come with the project: each can be read, and every objective has one."""

from pathlib import Path

import pytest

from sightline.errors import ConfigError
from sightline.training.recipe import OBJECTIVES, read_recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert f"sightline pretrain recipes/{path.name}" in path.read_text()
    assert isinstance(recipe.objective, OBJECTIVES.get(path.stem, object))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_is_found_by_its_name_anywhere(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / path.stem).mkdir()  # a result of that name stands in nobody's way
    monkeypatch.chdir(tmp_path)
    assert read_recipe(path.stem) == read_recipe(path)


def test_a_name_that_is_none_is_told_the_others() -> None:
    with pytest.raises(ConfigError, match="no recipe is called 'hybird'; there are causal, hybrid, "):
        read_recipe("hybird")


def test_every_objective_has_one() -> None:
    assert {path.stem for path in RECIPES} == {"smoke", *OBJECTIVES}
