"""Next-sentence prediction: transformers' loss on the same rows, and what is hidden in them.

Shapes: B rows, T tokens.
"""

from pathlib import Path

import numpy
import pytest
import torch

from contract.families import tiny
from contract.reference import reference, saved
from objectives.texts import loss_of, only, toy_words
from sightline.core.mask import Causal
from sightline.core.taps import record
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.load import load
from sightline.objectives.masked import Masked
from sightline.objectives.next_sentence import ANOTHER, FOLLOWS, NextSentence, Pairs
from sightline.objectives.objective import Batch
from sightline.objectives.text import NOT_ASKED


def pairs() -> Pairs:
    """Rows of two texts, [CLS] and [SEP] both 2, filled up with 0."""
    made = [([5, 6, 7], [8, 9]), ([10, 11], [12, 13, 14, 15]), ([16], [17])]
    ids, types = torch.zeros(3, 9, dtype=torch.long), torch.zeros(3, 9, dtype=torch.long)
    lengths = []
    for row, (first, second) in enumerate(made):
        joined = [2, *first, 2, *second, 2]
        ids[row, : len(joined)] = torch.tensor(joined)
        types[row, len(first) + 2 : len(joined)] = 1
        lengths.append(len(joined))
    follows = torch.tensor([FOLLOWS, ANOTHER, ANOTHER])
    return Pairs(ids=ids, types=types, lengths=torch.tensor(lengths), follows=follows, numbers=(1, 2, 3))


def batch_of(objective: NextSentence, seed: int = 0) -> Batch:
    return only(objective.batches(pairs(), toy_words(), numpy.random.default_rng(seed), 0.0))


def test_text_is_hidden_and_nothing_else() -> None:
    held = pairs()
    for seed in range(30):
        batch = batch_of(NextSentence(masking=Masked(rate=0.5, unit="spans")), seed)
        follows, targets = batch.targets[:, 0], batch.targets[:, 1:]
        hidden = targets != NOT_ASKED
        assert torch.equal(follows, held.follows) and torch.equal(targets[hidden], held.ids[hidden])
        assert not (hidden & (held.ids <= 2)).any()
        assert torch.equal(batch.inputs["input_ids"][~hidden], held.ids[~hidden])
        assert torch.equal(batch.inputs["token_type_ids"], held.types)
        assert batch.inputs["attention_mask"].sum(1).tolist() == held.lengths.tolist() == [8, 9, 5]
        assert (batch.rows, batch.tokens) == ((1, 2, 3), 22)
        assert NextSentence().counts(batch) == {"masked": float(hidden.sum()), "next_sentence": 3.0}


def test_the_loss_is_transformers(tmp_path: Path) -> None:
    """Both terms of BertForPreTraining, each a mean of its own, added up."""
    theirs = reference("BertForPreTraining")
    model, batch = load(saved(theirs, tmp_path)), batch_of(NextSentence(masking=Masked(rate=0.4)))
    given = theirs(**batch.inputs, labels=batch.targets[:, 1:].contiguous(), next_sentence_label=batch.targets[:, 0])
    assert abs(float(loss_of(NextSentence(), model, batch).detach() - given.loss.detach())) < 1e-5


def test_only_what_is_read_goes_through_the_last_layer() -> None:
    model, batch = tiny("bert", heads=("lm", "next_sentence")), batch_of(NextSentence(masking=Masked(rate=0.1)))
    with record(model.network, "*.output") as seen:
        found = NextSentence().terms(model, batch)
    *_, last = seen.values()
    assert last.shape[1] < 5
    output, asked = model(**batch.inputs), batch.targets[:, 1:] != NOT_ASKED
    logits = model.logits(output.last_hidden_state[asked]).log_softmax(-1)
    masked = -logits.gather(-1, batch.targets[:, 1:][asked][:, None]).sum()
    torch.testing.assert_close(found["masked"].sum, masked, rtol=1e-11, atol=1e-11)
    follows = model.head("next_sentence")(output.last_hidden_state, output.coordinates).log_softmax(-1)
    expected = -follows.gather(-1, batch.targets[:, :1]).sum()
    torch.testing.assert_close(found["next_sentence"].sum, expected, rtol=1e-11, atol=1e-11)


def test_filling_up_changes_nothing() -> None:
    model, batch = tiny("bert", heads=("lm", "next_sentence")), batch_of(NextSentence())
    terms = NextSentence().terms(model, batch)
    single = [
        Batch(
            inputs={name: value[row : row + 1, :length] for name, value in batch.inputs.items()},
            targets=batch.targets[row : row + 1, : length + 1],
            rows=(row,),
            tokens=length,
        )
        for row, length in enumerate(pairs().lengths.tolist())
    ]
    for name, term in terms.items():
        alone = sum(NextSentence().terms(model, each)[name].sum for each in single)
        torch.testing.assert_close(term.sum, alone, rtol=1e-11, atol=1e-11)


def test_heads_that_it_needs() -> None:
    with pytest.raises(UnsupportedError, match="no head 'next_sentence'"):
        NextSentence().terms(tiny("gpt2", heads=("lm",)).with_mask(Causal()), batch_of_without_types())


def batch_of_without_types() -> Batch:
    batch = batch_of(NextSentence())
    inputs = {name: value for name, value in batch.inputs.items() if name != "token_type_ids"}
    return Batch(inputs=inputs, targets=batch.targets, rows=batch.rows, tokens=batch.tokens)


def test_a_z_loss_is_a_term_of_its_own() -> None:
    objective = NextSentence(masking=Masked(rate=0.4, z_loss=1e-2))
    model, batch = tiny("bert", heads=("lm", "next_sentence")), batch_of(objective)
    terms = objective.terms(model, batch)
    assert {name: (term.count, term.weight) for name, term in terms.items()} == {
        "masked": (5.0, 1.0), "masked_z": (5.0, 1e-2), "next_sentence": (3.0, 1.0)
    }  # fmt: skip
    hidden = model(**batch.inputs).last_hidden_state[batch.targets[:, 1:] != NOT_ASKED]
    torch.testing.assert_close(terms["masked_z"].sum, model.logits(hidden).logsumexp(-1).square().sum())
    assert objective.counts(batch) == {name: term.count for name, term in terms.items()}


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"masking\.shifted"):
        NextSentence(masking=Masked(shifted=True))
