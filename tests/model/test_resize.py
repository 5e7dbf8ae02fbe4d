"""A vocabulary that grows or shrinks: old rows stay, new ones are the mean, and transformers opens the result."""

from pathlib import Path

import pytest
import torch
import transformers

from contract.families import FAMILIES, VOCABULARY, WITHOUT_REFERENCE, random_ids, tiny
from contract.reference import LM, reference, saved
from sightline.core.mask import Causal
from sightline.errors import ConfigError, InputError
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer

IDS = random_ids(2, 5)
EMBEDDING = "embeddings.tokens.weight"


def logits_of(model: Model) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model(IDS).last_hidden_state)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("size", [VOCABULARY + 4, VOCABULARY - 3, VOCABULARY])
@pytest.mark.parametrize("family", FAMILIES)
def test_old_rows_stay(family: str, size: int, tied: bool, tmp_path: Path) -> None:
    """As in transformers, whose new rows are random and ours the mean of the old."""
    theirs = reference(LM[family], tie_word_embeddings=tied)
    model = load(saved(theirs, tmp_path))
    before, old = logits_of(model), model.network.get_parameter(EMBEDDING).detach().clone()
    model.resize_token_embeddings(size)
    theirs.resize_token_embeddings(size)
    kept = min(size, VOCABULARY)

    embedding = model.network.get_parameter(EMBEDDING)
    assert model.config.vocabulary == len(embedding) == size
    assert torch.equal(embedding[:kept], theirs.get_input_embeddings().weight[:kept])
    assert torch.allclose(embedding[kept:], old.mean(0).expand(size - kept, -1))
    if int(IDS.max()) < kept:
        assert torch.allclose(logits_of(model)[..., :kept], before[..., :kept], rtol=0, atol=1e-12)
        assert logits_of(model).shape[-1] == size
    head = theirs.get_output_embeddings()
    matrix = model.head("lm").matrix
    assert matrix.shape == head.weight.shape
    assert torch.equal(matrix[:kept], head.weight[:kept])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_opened(family: str, tied: bool, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",), tied=tied)
    model.resize_token_embeddings(VOCABULARY + 4)
    folder = model.save(tmp_path)
    assert torch.allclose(logits_of(load(folder)), logits_of(model), rtol=0, atol=1e-12)
    theirs, report = getattr(transformers, LM[family]).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert theirs.config.vocab_size == VOCABULARY + 4
    with torch.no_grad():
        expected = theirs.double().eval()(IDS).logits  # it leaves a part of XLNet in float32
        assert torch.allclose(expected, logits_of(model), rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_new_special_tokens(family: str, tmp_path: Path) -> None:
    """A tokenizer gains tokens, the model rows for them; both are saved, and transformers reads the same ids."""
    kind = "bytelevel-bpe" if family in ("gpt2", "roberta") else "wordpiece"
    model = build(family, "tiny", tokenizer=learn_tokenizer(["a few words", "and more"] * 3, kind=kind, vocabulary=280))
    old = len(model.tokenizer)
    assert model.config.vocabulary == old
    assert model.tokenizer.add_tokens(["<user>", "<bot>"], special=True) == 2
    text = "<user> a few words <bot>"
    with pytest.raises(InputError, match=f"outside the vocabulary of {old}"):
        model(**model.tokenizer(text))
    model.resize_token_embeddings(len(model.tokenizer))
    expected = model(**model.tokenizer(text)).last_hidden_state
    folder = model.save(tmp_path)
    loaded = load(folder)
    assert loaded.tokenizer.encode("<bot>", add_special_tokens=False) == [old + 1]
    assert torch.allclose(loaded(**loaded.tokenizer(text)).last_hidden_state, expected, atol=1e-6)
    if family in WITHOUT_REFERENCE:
        pytest.skip(WITHOUT_REFERENCE[family])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        theirs = network(**tokenizer(text, return_tensors="pt")).last_hidden_state
    assert torch.allclose(theirs, expected, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_views_grow_together(family: str, tmp_path: Path) -> None:
    """A view has the same weights; so it has the same vocabulary, from whichever side it grew."""
    model = tiny(family, heads=("lm",))
    view = model.with_mask(Causal())
    view.resize_token_embeddings(VOCABULARY + 2)
    assert model.config.vocabulary == view.config.vocabulary == VOCABULARY + 2
    last = torch.tensor([[VOCABULARY + 1]])
    assert torch.equal(model(last).last_hidden_state, view(last).last_hidden_state)
    assert load(model.save(tmp_path)).config.vocabulary == VOCABULARY + 2


@pytest.mark.parametrize("family", FAMILIES)
def test_it_learns_on(family: str) -> None:
    """New rows get gradients; rows that were frozen stay so."""
    model = tiny(family, heads=("lm",))
    model.resize_token_embeddings(VOCABULARY + 1)
    model(torch.tensor([[VOCABULARY, 5]])).last_hidden_state.square().sum().backward()
    rows = [
        p for name, p in model.network.named_parameters() if name.startswith("embeddings.tokens") and "proj" not in name
    ]
    assert bool(rows[-1].grad[-1].any())  # of the last table, where the vocabulary is in several
    model.requires_grad_(False)
    model.resize_token_embeddings(VOCABULARY)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_what_cannot_be() -> None:
    model = tiny("bert", heads=("lm",))
    for size in (0, -1, 2.5, "31", True):
        with pytest.raises(ConfigError, match=r"vocabulary=.* must be a whole number"):
            model.resize_token_embeddings(size)  # type: ignore[arg-type]
    tokenizer = learn_tokenizer(["a few words"] * 3, kind="wordpiece", vocabulary=100)
    model = build("bert", "tiny", tokenizer=tokenizer)
    with pytest.raises(InputError, match=f"the tokenizer has {len(tokenizer)} tokens, more than the 5 asked for"):
        model.resize_token_embeddings(5)
