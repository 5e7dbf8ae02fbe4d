"""Pretraining: it learns, goes on exactly where it stopped, ends on time, and leaves what each objective promises."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sightline.core.mask import Bidirectional, Causal
from sightline.decoding.fill import fill
from sightline.decoding.generate import generate
from sightline.errors import CheckpointError, ConfigError, InputError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.masked import Masked
from sightline.objectives.next_sentence import NextSentence
from sightline.objectives.permutation import Permutation
from sightline.objectives.prefix import PrefixLM
from sightline.tasks.embed import embed
from sightline.tasks.prepare import prepare
from sightline.tasks.prepare_config import PrepareConfig
from sightline.tasks.pretrain import Pretraining, pretrain
from sightline.text.corpus import Corpus, documents_of, open_corpus
from sightline.training.config import TrainingConfig
from sightline.training.recipe import BatchRecipe, ModelRecipe, Recipe, RunRecipe, StageRecipe

TEXTS = [
    f"the {adjective} {animal} {verb} over the {place}. then it {verb} again. nobody saw the {animal}."
    for adjective in ("quick", "lazy", "brown", "old")
    for animal in ("fox", "dog", "cat", "hen")
    for verb in ("jumps", "walks", "runs")
    for place in ("wall", "river", "hill")
]
SIZES = {"width": 16, "inner": 24, "layers": 2, "attention_heads": 2}
OBJECTIVES: dict[str, tuple[Any, str]] = {
    "causal": (CausalLM(), "gpt2"),
    "masked": (Masked(rate=0.3), "bert"),
    "next_sentence": (NextSentence(), "bert"),
    "prefix": (PrefixLM(), "modernbert"),
    "permutation": (Permutation(), "xlnet"),
    "hybrid": (Hybrid(), "modernbert"),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    config = PrepareConfig(kind="wordpiece", vocabulary=120, documents="lines", valid=0.2)
    for _ in prepare([folder / "texts.txt"], folder / "made", config):
        pass
    return open_corpus(folder / "made")


def recipe(kind: str = "causal", **run: Any) -> Recipe:
    objective, family = OBJECTIVES[kind]
    return Recipe(
        objective=objective,
        model=ModelRecipe(family=family, size="tiny", settings=SIZES),
        training=TrainingConfig(learning_rate=0.01, schedule="wsd", precision="float32"),
        batches=BatchRecipe(rows=8, tokens=24),
        run=RunRecipe(**{"steps": 6, "validation_tokens": 256, **run}),
    )


def weights(model: Model) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def made(recipe: Recipe, corpus: Corpus) -> Pretraining:
    under_way = Pretraining(recipe, corpus)
    for _ in under_way.run():
        pass
    return under_way


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_objective_learns(kind: str, corpus: Corpus) -> None:
    """What the validation part says gets better, and is said of each term."""
    under_way = made(recipe(kind, steps=60, validate_every=20), corpus)
    first, *_, last = (look.scores for look in under_way.history)
    asked = [name for name in first if name not in ("next_sentence", "bits_per_byte")]
    assert asked and all(last[name] < math.log(corpus.vocabulary) for name in asked)
    assert sum(last[name] for name in asked) < sum(first[name] for name in asked)
    assert ("bits_per_byte" in last) == (kind in ("causal", "hybrid"))


def test_bits_per_byte_are_the_likelihood_of_the_texts(corpus: Corpus) -> None:
    """Of one row that holds whole documents: nats of all that follows, by the bytes of these texts."""
    under_way = made(recipe(validation_tokens=10**6), corpus)
    score = under_way.history[-1].scores
    documents = corpus.valid
    asked = documents.tokens - len(documents)
    expected = score["loss"] * asked / math.log(2) / documents.text_bytes
    assert score["bits_per_byte"] == pytest.approx(expected)
    assert 0 < documents.text_bytes < documents.tokens * 20


def test_a_hybrid_is_both(corpus: Corpus, tmp_path: Path) -> None:
    """One checkpoint fills blanks, writes, and embeds, after it was saved and loaded too."""
    model = made(recipe("hybrid", steps=30), corpus).model
    again = load(model.save(tmp_path))
    assert (again.trained_masks, again.shifted) == ((Bidirectional(), Causal()), True)
    for one in (model, again):
        assert fill(one, "the quick [MASK] jumps").blanks[0][0].probability > 0
        assert generate(one, "the quick", max_new_tokens=3).texts()[0]
        assert embed(one, ["the quick fox"]).shape == (1, 16)
    assert fill(again, "the [MASK] fox") == fill(model, "the [MASK] fox")


def test_stages_and_averaging_and_micro_batches(corpus: Corpus) -> None:
    """Micro-batches change nothing but rounding; the mean of the last steps is what is left."""
    shapes = (StageRecipe(share=0.5, rows=8, tokens=16), StageRecipe(share=0.5, rows=4, tokens=32))
    still = {**SIZES, "dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0}
    plain = replace(recipe(steps=8, average=0.5), batches=BatchRecipe(stages=shapes))
    plain = replace(plain, model=replace(plain.model, settings=still))
    whole = made(plain, corpus)
    assert whole.averaging.steps == 4
    cut = replace(plain, batches=replace(plain.batches, micro_rows=3))
    losses = [[progress.loss for progress in pretrain(each, corpus)] for each in (plain, cut)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    last = made(replace(plain, run=replace(plain.run, average=0.0)), corpus)
    assert any(not torch.equal(value, weights(whole.model)[name]) for name, value in weights(last.model).items())


@pytest.mark.parametrize("kind", ["hybrid", "next_sentence"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_stopped_goes_on_exactly(kind: str, optimizer: str, corpus: Corpus, tmp_path: Path) -> None:
    """Bit for bit, wherever it stopped: averages, plans and looks included."""
    given = recipe(kind, steps=12, validate_every=5, average=0.5)
    given = replace(given, training=replace(given.training, optimizer=optimizer))
    straight = made(given, corpus)
    stops = iter((3, 4, 9))
    stop = next(stops)
    under_way = Pretraining(given, corpus, folder=tmp_path)
    while True:
        steps = under_way.run()
        for progress in steps:
            if progress.step == stop:
                steps.close()
                break
        if under_way.finished:
            break
        stop = next(stops, 0)
        under_way = Pretraining(given, corpus, folder=tmp_path, resume=True)
        assert under_way.resumed == under_way.training.step > 0
    for name, value in weights(straight.model).items():
        assert torch.equal(value, weights(under_way.model)[name]), name
    assert under_way.history == straight.history


def test_what_has_changed_is_said(corpus: Corpus, tmp_path: Path) -> None:
    """Another recipe or corpus does not go on from a checkpoint, and the error names what is another."""
    steps = pretrain(recipe(), corpus, folder=tmp_path)
    next(steps)
    steps.close()
    other = recipe()
    changes = {
        "run.steps": recipe(steps=9),
        "batches.rows": replace(other, batches=BatchRecipe(rows=4, tokens=24)),
        "learning_rate": replace(other, training=replace(other.training, learning_rate=0.02)),
        "objective": replace(other, objective=CausalLM(z_loss=1e-4)),
        "data": other,
    }
    elsewhere = replace(corpus, manifest={**corpus.manifest, "tokenizer": {"sha256": "another"}})
    for what, given in changes.items():
        with pytest.raises(CheckpointError, match=what):
            Pretraining(given, elsewhere if what == "data" else corpus, folder=tmp_path, resume=True)
    looks = recipe(validate_every=1, checkpoint_every=3)
    assert Pretraining(looks, corpus, folder=tmp_path, resume=True).resumed == 1


def test_by_the_clock(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when the time does, at whatever pace, its learning rate come down; new plans are told."""
    clock = iter(range(10**6))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock) / 40)  # every look at it takes a moment
    told = list(pretrain(recipe(minutes=0.5, steps=None, validate_every=10**6), corpus))
    plans = [progress.planned for progress in told if progress.planned is not None]
    assert plans and plans[-1] == len(told) == told[-1].steps != 1000
    assert told[-1].elapsed == pytest.approx(30, rel=0.1)
    rates = [progress.learning_rate for progress in told]
    assert rates[-1] < 0.1 * max(rates)


def test_what_does_not_fit(corpus: Corpus) -> None:
    with pytest.raises(ConfigError, match=r"positions is 8, and rows have 24 tokens"):
        small = replace(recipe(), model=ModelRecipe(family="gpt2", size="tiny", settings={**SIZES, "positions": 8}))
        Pretraining(small, corpus)
    with pytest.raises(ConfigError, match="a gpt2 has no head next_sentence"):
        Pretraining(replace(recipe("next_sentence"), model=ModelRecipe(family="gpt2", size="tiny")), corpus)


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_a_stream_that_nobody_asks_is_not_taught(kind: str, corpus: Corpus) -> None:
    xlnet = ModelRecipe(family="xlnet", size="tiny")
    with pytest.raises(ConfigError, match=f"only the objective permutation teaches; .* another family for {kind}"):
        Pretraining(replace(recipe(kind), model=xlnet), corpus)


def test_a_mask_that_would_not_be_looked_through_or_shows_what_is_asked(corpus: Corpus) -> None:
    def through(kind: str, mask: str) -> Recipe:
        asked = recipe(kind)
        return replace(asked, model=replace(asked.model, mask=mask))

    for kind in ("hybrid", "prefix", "permutation"):
        with pytest.raises(ConfigError, match="decides itself who sees whom"):
            Pretraining(through(kind, "causal"), corpus)
    for mask in ("bidirectional", "causal | prefix(4)", "permuted"):
        with pytest.raises(ConfigError, match="sees the next one"):
            Pretraining(through("causal", mask), corpus)
    for kind, mask in (("causal", "causal & sliding_window(8)"), ("masked", "sliding_window(8)")):
        assert str(Pretraining(through(kind, mask), corpus).model.mask) == mask


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_small_part_to_judge_by_is_enough(kind: str, corpus: Corpus) -> None:
    """Two short texts, fewer tokens than a row has: still a row of each kind that is asked."""
    few = replace(corpus, valid=documents_of([corpus.valid[0].tolist(), corpus.valid[1].tolist()], text_bytes=80))
    assert few.valid.tokens < 2 * 24
    (look,) = made(recipe(kind), few).history
    assert all(math.isfinite(score) for score in look.scores.values())
    assert set(look.scores) >= {"hybrid": {"masked", "causal", "bits_per_byte"}}.get(kind, set()) and look.scores


def test_without_a_part_to_judge_by_nothing_is_measured(corpus: Corpus) -> None:
    (look,) = made(recipe("hybrid", samples=("the quick",)), replace(corpus, valid=documents_of([]))).history
    assert look.scores == {} and look.samples[0].startswith("the quick")


def test_a_part_that_is_too_small_is_said_before_the_first_step(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="of the part of the corpus to judge by: pairs need two documents"):
        Pretraining(recipe("next_sentence"), replace(corpus, valid=documents_of([corpus.valid[0].tolist()])))


def test_samples_are_read_by_people(corpus: Corpus) -> None:
    """A text goes on, a blank is filled however it is spelled, and what cannot be is no reason to stop."""
    texts = ("the quick", "the [MASK] fox", "the <mask> fox", "[MASK] " * 99)
    (look,) = made(recipe("hybrid", samples=texts), corpus).history
    assert look.samples[0].startswith("the quick")
    assert look.samples[1] == look.samples[2] and "[MASK]" not in look.samples[1]
    assert look.samples[3].startswith("(")


def test_an_encoder_says_what_a_sample_lacks_and_two_streams_write(corpus: Corpus) -> None:
    (look,) = made(recipe("masked", samples=("the quick",)), corpus).history
    assert "has no blank" in look.samples[0] and "write [MASK]" in look.samples[0]
    (look,) = made(recipe("permutation", samples=("the quick",)), corpus).history
    assert look.samples[0].startswith("the quick") and len(look.samples[0]) > len("the quick")


def test_a_hybrid_writes_through_its_causal_mask(corpus: Corpus) -> None:
    """Its samples are what `generate` gives afterwards, when the mask is the one that looks back."""
    under_way = made(recipe("hybrid", samples=("the quick",)), corpus)
    causal = under_way.model.with_mask(Causal())
    assert under_way.history[-1].samples[0] == "the quick" + generate(causal, "the quick", max_new_tokens=40).texts()[0]
