"""The model that a recipe teaches: new, looking through the masks that its objective wants."""

from __future__ import annotations

from dataclasses import fields

from sightline.core.mask import Mask
from sightline.decoding.rows import looks_ahead
from sightline.errors import ConfigError
from sightline.model.build import build
from sightline.model.families import layout_of
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.permutation import Permutation
from sightline.objectives.prefix import PrefixLM
from sightline.text.corpus import Corpus
from sightline.training.recipe import Recipe


def masks_of(recipe: Recipe) -> tuple[Mask, ...]:
    """Through which masks the model learns to look; the one it has afterwards comes first.

    Raises ConfigError for a mask of the recipe that the objective would not look through, or that shows what is asked.
    """
    objective = recipe.objective
    if recipe.model.mask is None:
        return objective.masks
    mask = Mask.parse(recipe.model.mask)
    if isinstance(objective, Hybrid | Permutation | PrefixLM):
        raise ConfigError(
            f"model.mask is {recipe.model.mask!r}, and this objective decides itself who sees whom; leave it out"
        )
    if isinstance(objective, CausalLM) and looks_ahead(mask):
        raise ConfigError(
            f"model.mask is {recipe.model.mask!r}, under which a token sees the next one, which it is asked for; choose"
            " one that looks back, such as 'causal & sliding_window(64)'"
        )
    return (mask,)


def new_model(recipe: Recipe, corpus: Corpus, *, device: str | None = None) -> Model:
    """A new model for the corpus's tokens, with the heads that the objective asks, and positions for its longest rows.

    Raises ConfigError where the family has no such head, or learns in one stream and is asked in another, or the recipe
    gives fewer positions than a row has tokens.
    """
    layout = layout_of(recipe.model.family)
    has = {head.name for head in layout.heads}
    if lacking := [head for head in recipe.objective.heads if head not in has]:
        raise ConfigError(
            f"a {recipe.model.family} has no head {', '.join(lacking)}, which this objective asks; it has"
            f" {', '.join(sorted(has))}"
        )
    if layout.two_streams and not isinstance(recipe.objective, Permutation):
        raise ConfigError(
            f"a {recipe.model.family} is asked for a token in a stream of its own, which only the objective permutation"
            f" teaches; choose that, or another family for {recipe.kind}"
        )
    longest = max(shape.tokens for shape in recipe.batches.shapes)
    settings = dict(recipe.model.settings)
    ends = any(field.name == "positions" for field in fields(layout.config))
    if ends and settings.setdefault("positions", longest) < longest:
        raise ConfigError(
            f"model.settings.positions is {settings['positions']}, and rows have {longest} tokens; give as many"
        )
    model = build(
        recipe.model.family,
        recipe.model.size,
        tokenizer=corpus.tokenizer,
        heads=recipe.objective.heads,
        seed=recipe.training.seed,
        device=device,
        **settings,
    )
    model = model.with_mask(masks_of(recipe)[0])
    model.trained_masks, model.shifted = masks_of(recipe), recipe.objective.shifted
    return model
