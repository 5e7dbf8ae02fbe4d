"""A head on any model: what it reads, what of the model stays, and that transformers opens it."""

import copy
import json
from pathlib import Path

import numpy
import pytest
import torch
import transformers

from contract.families import FAMILIES, SIZES, families, padded, random_ids, sizes, tiny
from contract.reference import PAD  # whose module also keeps transformers from rounding to float32
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted, Prefix, SlidingWindow
from sightline.errors import CheckpointError, ConfigError, UnsupportedError
from sightline.model.build import build
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.model.model import Model
from sightline.networks.heads import POOLINGS, Pooling, SequenceHead, pooled
from sightline.tasks.abilities import abilities
from sightline.tasks.describe import describe
from sightline.weights.files import read_json

LABELS = ("bad", "so-so", "good")
CLOSE = 1e-12


def logits(model: Model, ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        out = model(ids, attention_mask)
        return model.head("classifier")(out.last_hidden_state, out.coordinates)


def head_of(model: Model) -> SequenceHead:
    head = model.head("classifier")
    assert isinstance(head, SequenceHead)
    return head


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_pooling_reads_real_tokens_wherever_the_padding_is(pooling: Pooling) -> None:
    hidden = torch.randn(3, 6, 4, dtype=torch.float64)
    real = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0]], dtype=torch.bool)
    hidden[~real] = float("nan")
    plain = {"first": lambda row: row[0], "last": lambda row: row[-1], "mean": lambda row: row.mean(0)}[pooling]
    want = torch.stack([plain(row[kept]) for row, kept in zip(hidden, real, strict=True)])
    assert torch.allclose(pooled(hidden, Coordinates.padded(real), pooling), want, rtol=0, atol=1e-15)


def test_a_mean_of_short_numbers_is_taken_in_float32_and_is_short_again() -> None:
    hidden = torch.full((1, 4096, 1), 1.001, dtype=torch.bfloat16)
    assert torch.equal(pooled(hidden, Coordinates.consecutive(4096), "mean"), hidden[:, 0])


def test_a_row_of_padding_alone_gives_no_nan() -> None:
    real = torch.zeros(1, 3, dtype=torch.bool)
    assert torch.equal(pooled(torch.ones(1, 3, 2), Coordinates.padded(real), "mean"), torch.zeros(1, 2))


@pytest.mark.parametrize("pooling", [None, *POOLINGS])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["classes", "number"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_is_loaded(
    family: str, labels: tuple[str, ...] | None, pooling: Pooling | None, tmp_path: Path
) -> None:
    model = tiny(family)
    mask: Mask = Bidirectional() if pooling == "first" and model.mask == Causal() else model.mask
    model = with_classifier(model.with_mask(mask), labels, pooling=pooling, seed=1)
    again = load(model.save(tmp_path))
    assert (again.labels, again.mask, set(again.heads)) == (labels, mask, set(model.heads))
    assert (again.regression, head_of(again).pooling) == (labels is None, head_of(model).pooling)
    assert again.new_tensors == () and "lm" not in again.heads
    ids, real = padded([random_ids(1, 5)[0], random_ids(1, 3)[0]], "right", 0)
    assert float((logits(again, ids, real) - logits(model, ids, real)).abs().max()) < CLOSE
    assert all(torch.equal(one, again.get_parameter(name)) for name, one in model.named_parameters())
    own = read_json(tmp_path / "config.json").get("sightline", {})
    kept = head_of(model).pooling
    assert ("pooling" in own) == (kept != head_of(model).usual_pooling and kept not in model.layout.poolings)
    assert ("note" in own) == bool({"pooling", "mask"} & own.keys())
    second = read_json(again.save(tmp_path / "second") / "config.json")
    assert second == read_json(tmp_path / "config.json")


@pytest.mark.parametrize("labels", [LABELS, None], ids=["classes", "number"])
@families("parity")
def test_transformers_opens_it_and_gives_the_same(family: str, labels: tuple[str, ...] | None, tmp_path: Path) -> None:
    folder = with_classifier(tiny(family), labels).save(tmp_path)
    theirs, report = transformers.AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    assert type(theirs).__name__.endswith("ForSequenceClassification")
    assert theirs.config.num_labels == (1 if labels is None else 3)
    assert theirs.config.problem_type == ("regression" if labels is None else None)
    if labels is not None:
        assert tuple(theirs.config.id2label.values()) == labels
    theirs.config.pad_token_id = PAD if family in ("gpt2", "modernbert-decoder") else theirs.config.pad_token_id
    side = "left" if family == "xlnet" else "right"  # it reads the last place of a row, whatever stands there
    ids, real = padded([random_ids(1, 6)[0], random_ids(1, 4, seed=1)[0]], side, PAD)
    with torch.no_grad():
        expected = theirs.double().eval()(ids, attention_mask=real).logits  # it leaves a part of XLNet in float32
    assert float((logits(load(folder), ids, real) - expected).abs().max()) < CLOSE


def test_an_earlier_head_is_replaced_and_the_folder_says_only_what_is_true(tmp_path: Path) -> None:
    before = with_classifier(tiny("bert"), LABELS, pooling="mean").save(tmp_path / "before")
    stored = json.loads((before / "config.json").read_text())
    (before / "config.json").write_text(json.dumps({**stored, "num_labels": 3}))
    folder = with_classifier(load(before), None).save(tmp_path / "after")
    config = read_json(folder / "config.json")
    assert config["id2label"] == {"0": "LABEL_0"} and config["problem_type"] == "regression"
    assert not {"num_labels", "sightline"} & config.keys()
    classes = read_json(with_classifier(load(folder), LABELS).save(tmp_path / "classes") / "config.json")
    assert "problem_type" not in classes and len(classes["id2label"]) == 3


@pytest.mark.parametrize(
    ("family", "mask", "expected"),
    [
        ("bert", Bidirectional(), "first"),
        ("bert", Causal(), "last"),
        ("bert", ~Causal() | SlidingWindow(1), "first"),
        ("bert", SlidingWindow(1), "mean"),
        ("distilbert", Causal() & SlidingWindow(3), "last"),
        ("gpt2", Causal(), "last"),
        ("gpt2", Bidirectional(), "mean"),
        ("gpt2", Prefix(2) | Causal(), "last"),
        ("gpt2", ~Causal() | SlidingWindow(1), "mean"),
        ("modernbert", Bidirectional(), "mean"),
        ("modernbert", Causal(), "last"),
    ],
    ids=str,
)
def test_the_pooling_suits_the_mask(family: str, mask: Mask, expected: str) -> None:
    model = with_classifier(tiny(family).with_mask(mask), LABELS)
    assert head_of(model).pooling == expected
    assert abilities(model)["classify"].can


def test_a_pooling_that_means_nothing_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="'first' means nothing here: under the mask causal the first token"):
        with_classifier(tiny("gpt2"), LABELS, pooling="first")
    with pytest.raises(UnsupportedError, match="the mask permuted reads tokens' ranks"):
        with_classifier(tiny("bert").with_mask(Permuted()), LABELS)
    with pytest.raises(ConfigError, match="pooling='max' is none; choose one of first, last, mean"):
        with_classifier(tiny("bert"), LABELS, pooling="max")  # type: ignore[arg-type]
    blind = with_classifier(tiny("bert"), LABELS).with_mask(Causal())
    assert "the first token" in abilities(blind)["classify"].how
    assert abilities(with_classifier(tiny("bert"), LABELS, pooling="mean").with_mask(Causal()))["classify"].can


def test_what_it_can_do_is_said_of_numbers_too() -> None:
    model = with_classifier(tiny("bert"), None)
    assert abilities(model)["classify"].how.startswith("a number for a text, by head")
    assert describe(model).objective == "regression"
    assert abilities(with_classifier(model, LABELS))["classify"].how.startswith(
        "a text into 3 labels (bad, so-so, good)"
    )


@pytest.mark.parametrize(
    ("labels", "says"), [((), "two classes"), (("one",), "two classes"), (("a", "a"), "twice"), (("a", ""), "empty")]
)
def test_labels_that_cannot_be(labels: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_classifier(tiny("bert"), labels)
    with pytest.raises(ConfigError, match=says):
        build("bert", "tiny", heads=("classifier",), labels=labels, vocabulary=30)


def test_a_new_model_keeps_the_names_of_its_labels() -> None:
    assert build("bert", "tiny", heads=("classifier",), labels=["no", "yes"], vocabulary=30).labels == ("no", "yes")
    with pytest.raises(ConfigError, match="labels are 'abc'; give the names"):
        build("bert", "tiny", heads=("classifier",), labels="abc", vocabulary=30)


def test_a_hook_on_a_view_is_the_views_alone() -> None:
    model, heard = tiny("bert"), []
    model.register_forward_hook(lambda *_: heard.append("model"))
    views = {"mask": model.with_mask(Causal()), "classifier": with_classifier(model, LABELS)}
    for name, view in views.items():
        view.register_forward_hook(lambda *_, name=name: heard.append(name))
    for each in (model, *views.values()):
        each(torch.tensor([[5, 6]]))
    assert heard == ["model", "model", "mask", "model", "classifier"]


@pytest.mark.parametrize("family", FAMILIES)
def test_new_weights_come_from_the_seed_alone(family: str) -> None:
    model = tiny(family, dtype=torch.float32)
    one, same, other = (with_classifier(model, LABELS, seed=seed) for seed in (3, 3, 4))
    torch.manual_seed(7)
    state = torch.get_rng_state()
    with_classifier(model, LABELS, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    weights = [head_of(each).output.weight for each in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert 0.01 < float(weights[0].detach().std()) < 0.03
    assert (head_of(one).output.bias is None) == (family in ("gpt2", "modernbert-decoder", "transfo-xl"))
    assert set(one.new_tensors) == {name for name, _ in one.named_parameters() if name.startswith("heads.")} - (
        {"heads.pooler.dense.weight", "heads.pooler.dense.bias"} if family == "bert" else set()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_no_class_begins_as_a_token(family: str) -> None:
    """Drawn by the network's own seed from the start, a class's weights would be an embedding, and its logit large
    wherever that token is read: under a causal mask, at the end of every row."""
    model = build(family, "tiny", heads=(), seed=5, **sizes(family))
    weight = head_of(with_classifier(model, LABELS, seed=5)).output.weight
    for name, other in model.network.named_parameters():
        shared = numpy.intersect1d(weight.detach().numpy(), other.detach().numpy())
        assert len(shared) <= 2, name  # of random numbers of 24 bits some are alike


def test_the_network_and_berts_pooler_are_shared_and_the_model_keeps_its_heads() -> None:
    model = tiny("bert")
    heads = set(model.heads)
    view = with_classifier(model, LABELS)
    assert set(model.heads) == heads and set(view.heads) == {"pooler", "classifier"}
    assert view.network is model.network and view.heads["pooler"] is model.heads["pooler"]
    assert not view.training and not any(module.training for module in view.modules())
    assert view.device == model.device and view.dtype == model.dtype
    twin = copy.deepcopy(view)
    assert torch.equal(logits(twin, random_ids(1, 4)), logits(view, random_ids(1, 4)))


def test_a_network_without_a_pooler_gets_one(tmp_path: Path) -> None:
    model = with_classifier(load(build("bert", "tiny", heads=("lm",), **SIZES).save(tmp_path)), LABELS)
    assert set(model.new_tensors) == {
        f"heads.{one}.{leaf}" for one in ("pooler.dense", "classifier.output") for leaf in ("weight", "bias")
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sightline": {"pooling": "max"}}, "names the pooling 'max'; choose one of first, last, mean"),
        ({"problem_type": "guess"}, "problem_type='guess'; choose one of regression"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(change: dict[str, object], says: str, tmp_path: Path) -> None:
    folder = with_classifier(tiny("bert"), LABELS).save(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=says):
        load(folder)
