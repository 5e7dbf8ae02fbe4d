"""New networks of every family: each with its own tokenizer, learned once where several may share it."""

import pytest
import torch

from comparison.compared import texts, write
from sightline.comparison.contenders import Fresh, parse
from sightline.comparison.networks import NetworkLearner, Tokenizers
from sightline.comparison.plan import Plan
from sightline.comparison.rows import Rows, read_rows
from sightline.model.families import LAYOUTS
from sightline.tasks.classify import ModelClassifier

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return read_rows(write(tmp_path_factory.mktemp("rows") / "rows.csv", texts(60)))


@pytest.fixture(scope="module")
def tokenizers(rows: Rows) -> Tokenizers:
    """One for all: what one family changes in its tokenizer, another must not meet."""
    return Tokenizers(rows)


@pytest.mark.parametrize("family", LAYOUTS)
def test_every_family_learns_as_a_new_network(family: str, rows: Rows, tokenizers: Tokenizers) -> None:
    learner = NetworkLearner(rows, parse(f"new:{family}"), "tiny", tokenizers, CPU)
    plan = Plan(passes=1, batch_rows=32, learning_rates=(1e-3,), rows=len(rows.train), seeds=1, seconds=1.0)
    learning = learner.learn({"learning_rate": 1e-3}, 0, plan)
    while True:
        try:
            next(learning)
        except StopIteration as end:
            classifier = end.value
            break
    assert isinstance(classifier, ModelClassifier) and learner.method.startswith(f"new {family} network (2 layers")
    assert learner.notes() == []
    chances = classifier.predict(rows.test.texts)
    assert chances.shape == (len(rows.test), 2)


def test_tokenizers_are_shared_where_nothing_is_changed_in_them(tokenizers: Tokenizers) -> None:
    def of(name: str) -> object:
        source = parse(name).source
        assert isinstance(source, Fresh)
        return tokenizers.of(source)[0]

    assert of("encoder") is of("decoder") is of("bert") is of("new:distilbert")
    assert of("new:roberta") is of("new:roberta") is not of("gpt2")
    assert of("new:xlnet") is not of("bert") and of("new:transfo-xl") is not of("gpt2")
    bert, xlnet = (tokenizers.of(Fresh(family=family, tokens="wordpiece"))[0] for family in ("bert", "xlnet"))
    cls = bert.special.cls_id
    assert bert.encode("soup")[0] == cls and xlnet.encode("soup")[-1] == xlnet.special.cls_id
