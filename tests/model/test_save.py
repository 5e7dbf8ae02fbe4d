"""Saving: a folder that transformers and its tokenizers open, and nothing half-written."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from contract.families import FAMILIES, families, random_ids, tiny
from sightline.core.mask import Bidirectional, Causal, Prefix
from sightline.errors import CheckpointError, SightlineError
from sightline.model.build import build
from sightline.model.load import load
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer

TEXTS = ["a few words to learn from", "and a few more", "Zwölf Boxkämpfer jagen Viktor"]
KINDS = {"bert": "wordpiece", "distilbert": "wordpiece", "roberta": "bytelevel-bpe", "gpt2": "bytelevel-bpe"}
KINDS |= {"xlnet": "wordpiece", "modernbert": "wordpiece", "modernbert-decoder": "wordpiece", "transfo-xl": "wordpiece"}


def learned(family: str) -> Tokenizer:
    return learn_tokenizer(TEXTS * 3, kind=KINDS[family], vocabulary=300)  # type: ignore[arg-type]


def config_of(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "config.json").read_text()))


@families("parity")
def test_texts_give_the_same_numbers_in_transformers(family: str, tmp_path: Path) -> None:
    """The whole way: texts, through the tokenizer and the network that each library reads from the folder."""
    model = build(family, "tiny", tokenizer=learned(family), dtype=torch.float64, heads=("lm",))
    folder = model.save(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder).double().eval()  # it leaves a part of XLNet in float32
    again = load(folder)
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")
        assert set(ids) == set(again.tokenizer.model_inputs)
        with torch.no_grad():
            expected = network(**ids).last_hidden_state
            for ours in (model, again):
                assert float((ours(**ours.tokenizer(text)).last_hidden_state - expected).abs().max()) < 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_are_in_the_configuration(family: str, tmp_path: Path) -> None:
    model = build(family, "tiny", tokenizer=learned(family))
    config, special = config_of(model.save(tmp_path)), model.tokenizer.special
    assert config["vocab_size"] == len(model.tokenizer)
    for role in ("bos", "eos", *(("cls", "sep") if model.layout.family == "modernbert" else ())):
        field = f"{role}_token_id"
        own = getattr(special, f"{role}_id")
        assert config[field] == (model.layout.unsaid.get(field) if own is None else own)
    # RoBERTa's positions hang on the id of its padding, so it has one where its tokenizer has none.
    assert config["pad_token_id"] == (1 if family == "roberta" and special.pad_id is None else special.pad_id)


def test_what_a_checkpoint_said_is_said_again(tmp_path: Path) -> None:
    """Fields that nothing here reads stay; what is no longer true does not."""
    folder = tiny("bert", heads=("lm",)).save(tmp_path / "first")
    config = {**config_of(folder), "my_note": "kept", "problem_type": "regression", "torch_dtype": "float16"}
    config |= {"is_decoder": True, "auto_map": {"AutoModel": "code.Model"}, "quantization_config": {"bits": 8}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="auto_map, my_note, quantization_config"):
        model = load(folder)
    written = config_of(model.with_mask(model.layout.mask).save(tmp_path / "second"))
    assert (written["my_note"], written["problem_type"]) == ("kept", "regression")
    assert (written["dtype"], written["is_decoder"]) == ("float64", False)
    assert not {"torch_dtype", "auto_map", "quantization_config"} & written.keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_says_where_transformers_would_compute_something_else(family: str, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",))
    for number, mask in enumerate((model.mask, Causal(), Bidirectional(), Prefix(2) | Causal())):
        own: Any = config_of(model.with_mask(mask).save(tmp_path / str(number))).get("sightline", {})
        assert own.get("note") == (
            None
            if model.layout.expresses(mask, model.config)
            else f"sightline reads the mask {mask}; transformers does not, and gives other numbers"
        )


def test_the_type_is_what_the_weights_are_now(tmp_path: Path) -> None:
    model = tiny("gpt2", heads=("lm",), dtype=torch.float32)
    assert config_of(model.save(tmp_path / "a"))["dtype"] == "float32"
    assert config_of(model.to(torch.bfloat16).save(tmp_path / "b"))["dtype"] == "bfloat16"
    assert load(tmp_path / "b").dtype == torch.bfloat16
    auto = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "b")
    assert auto.dtype == torch.bfloat16


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    model = tiny("bert", heads=("lm",))
    (tmp_path / "file").write_text("kept")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(CheckpointError, match="file") as caught:
            model.save(place)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_disk_that_fills_up_behind_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder holds nothing that looks whole, and a used one the model that it held."""

    def full(*given: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    used = build("gpt2", "tiny", tokenizer=learned("gpt2")).save(tmp_path / "used")
    before = {path.name: path.read_bytes() for path in used.iterdir()}
    model = build("bert", "tiny", tokenizer=learned("bert"))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        for folder in (tmp_path / "new", used):
            with pytest.raises(CheckpointError, match=r"tokenizer\.json: No space left"):
                model.save(folder)
    with pytest.raises(SightlineError, match=r"config\.json"):
        load(tmp_path / "new")
    assert {path.name: path.read_bytes() for path in used.iterdir()} == before


def test_a_crash_between_two_models_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New weights are never read as the old configuration says."""
    folder = tiny("gpt2", heads=("lm",)).save(tmp_path)
    moved: list[str] = []

    def break_off(source: Path, target: Path) -> None:
        if moved:
            raise OSError(5, "Input/output error")
        moved.append(source.rename(target).name)

    with monkeypatch.context() as patch:
        patch.setattr("sightline.core.files.os.replace", break_off)
        with pytest.raises(CheckpointError, match="Input/output error"):
            tiny("bert", heads=("lm",)).save(folder)
    assert moved == ["model.safetensors"]
    with pytest.raises(SightlineError, match=r"config\.json"):
        load(folder)


def test_folders_are_made_and_named(tmp_path: Path) -> None:
    model = tiny("bert", heads=("lm",))
    folder = model.save(str(tmp_path / "a" / "b" / "c"))
    assert folder == tmp_path / "a" / "b" / "c"
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}


def test_a_model_saved_into_the_folder_that_it_was_loaded_from(tmp_path: Path) -> None:
    """Its weights are views of the very file that is replaced."""
    model = load(tiny("gpt2", heads=("lm",)).save(tmp_path))
    expected = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    model.save(tmp_path)
    for held in (model, load(tmp_path)):
        assert all(torch.equal(parameter, expected[name]) for name, parameter in held.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_is_a_model_of_its_own(family: str, tmp_path: Path) -> None:
    """A tied head follows the embedding of the copy, not of the original."""
    model = tiny(family, heads=("lm",))
    twin, ids = copy.deepcopy(model), random_ids(1, 4)
    with torch.no_grad():
        before = model.logits(model(ids).last_hidden_state)
        next(twin.network.get_submodule("embeddings.tokens").parameters()).mul_(2)
        assert torch.equal(model.logits(model(ids).last_hidden_state), before)
        changed = twin.logits(twin(ids).last_hidden_state)
        assert torch.allclose(load(twin.save(tmp_path)).logits(load(tmp_path)(ids).last_hidden_state), changed)


def test_a_view_saved_is_the_view(tmp_path: Path) -> None:
    model = build("bert", "tiny", tokenizer=learned("bert"), labels=("no", "yes"), heads=("classifier", "lm"))
    view = model.with_mask(Causal())
    loaded = load(view.save(tmp_path))
    assert (loaded.mask, loaded.labels, set(loaded.heads)) == (Causal(), ("no", "yes"), set(model.heads))
    assert loaded.tokenizer("a few words")["input_ids"].tolist() == model.tokenizer("a few words")["input_ids"].tolist()


def test_a_family_with_another_familys_tokenizer(tmp_path: Path) -> None:
    """RoBERTa's positions start after the id of padding, and DistilBERT has no token types."""
    tokenizer = learned("bert")
    for family in ("roberta", "distilbert"):
        model = build(family, "tiny", tokenizer=tokenizer, dtype=torch.float64)
        folder = model.save(tmp_path / family)
        network = transformers.AutoModel.from_pretrained(folder).eval()
        encoding = model.tokenizer(TEXTS)
        assert network.config.pad_token_id == tokenizer.special.pad_id == 0
        with torch.no_grad():
            ours, theirs = model(**encoding).last_hidden_state, network(**encoding).last_hidden_state
        assert torch.allclose(ours[encoding["attention_mask"].bool()], theirs[encoding["attention_mask"].bool()])
    assert tokenizer.makes_types  # the caller's own is as it was


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_can_be_sent_to_another_process(family: str) -> None:
    """As DataLoader workers, torch.multiprocessing and `torch.save(model)` do it."""
    model, ids = tiny(family, heads=("lm",)).with_mask(Causal()), random_ids(1, 4)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.layout is model.layout
    assert repr(twin) == repr(model)
    with torch.no_grad():
        expected = model.logits(model(ids).last_hidden_state)
        assert torch.equal(twin.logits(twin(ids).last_hidden_state), expected)
        next(twin.network.get_submodule("embeddings.tokens").parameters()).mul_(2)
        assert not torch.equal(twin.logits(twin(ids).last_hidden_state), expected)
        assert torch.equal(model.logits(model(ids).last_hidden_state), expected)


def test_nothing_of_an_earlier_model_is_read_with_the_new_one(tmp_path: Path) -> None:
    """Saved = loaded, also in a folder that held a model with a tokenizer, poolings and settings of its own."""
    folder = build("gpt2", "tiny", tokenizer=learned("gpt2"), dtype=torch.float64).save(tmp_path)
    (folder / "generation_config.json").write_text('{"eos_token_id": 7}')
    (folder / "modules.json").write_text("[]")
    (folder / "notes.txt").write_text("mine")
    model = tiny("bert", heads=("lm",))
    loaded = load(model.save(folder))
    assert (loaded.tokenizer, loaded.embedding, loaded.stored_config.get("eos_token_id")) == (None, None, None)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]
