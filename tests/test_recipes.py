"""The recipes that come with the project: each can be read, and every objective has one."""

from pathlib import Path

import pytest

from sightline.training.recipe import OBJECTIVES, read_recipe

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_can_be_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert f"sightline pretrain recipes/{path.name}" in path.read_text()
    assert isinstance(recipe.objective, OBJECTIVES.get(path.stem, object))


def test_every_objective_has_one() -> None:
    assert {path.stem for path in RECIPES} == {"smoke", *OBJECTIVES}
