"""Loading: old spellings are read, what is missing or wrong is named, and nothing from a checkpoint is executed."""

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import Tensor

from contract.families import FAMILIES, HEADS, WITHOUT_REFERENCE, random_ids, tiny
from contract.reference import LM, reference, run, saved
from hub_server import HubServer
from sightline.core.mask import Bidirectional, Causal, Mask, Prefix
from sightline.decoding.generate import end_tokens
from sightline.errors import CheckpointError, ConfigError, NotFoundError, SightlineError
from sightline.model.build import build
from sightline.model.families import LAYOUTS
from sightline.model.load import load
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer

IDS = random_ids(2, 7)
Tensors = dict[str, Tensor]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def theirs(family: str, tmp_path: Path) -> tuple[Any, Path]:
    """A random LM of transformers, and the folder that it saved."""
    model = reference(LM[family])
    return model, saved(model, tmp_path / "theirs")


def tensors_of(folder: Path) -> Tensors:
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: Tensors | None = None, **fields: Any) -> Path:
    """Put these tensors into the folder, and these fields into its config.json; a field that is None goes."""
    if tensors is not None:
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return folder


def refused(call: Callable[[], object], says: str, kind: type[SightlineError] = CheckpointError) -> str:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(model: Model, other: Model) -> None:
    named = dict(other.named_parameters())
    assert {name for name, _ in model.named_parameters()} == named.keys()
    assert all(torch.equal(parameter, named[name]) for name, parameter in model.named_parameters())


# Old spellings


def test_with_or_without_the_prefix(family: str, theirs: tuple[Any, Path]) -> None:
    """Files written from the bare network have none, and a few of them have it all the same."""
    _, folder = theirs
    plain, base = load(folder), LAYOUTS[family].base
    tensors = tensors_of(folder)
    without = {name.removeprefix(base): tensor for name, tensor in tensors.items()}
    assert without.keys() != tensors.keys()
    assert_same(plain, load(rewrite(folder, without)))
    network = {f"{base}{name}": tensor for name, tensor in without.items() if f"{base}{name}" in tensors}
    bare = load(rewrite(folder, network, architectures=[LM[family].replace("ForMaskedLM", "Model")]))
    expected = dict(plain.network.named_parameters())
    assert all(torch.equal(parameter, expected[name]) for name, parameter in bare.network.named_parameters())


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_gamma_and_beta(theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    plain = load(folder)

    def old(name: str) -> str:
        norm = re.compile(r"((?:LayerNorm|layer_norm)\.)(weight|bias)$")
        return norm.sub(lambda found: found[1] + {"weight": "gamma", "bias": "beta"}[found[2]], name)

    tensors = {old(name): tensor for name, tensor in tensors_of(folder).items()}
    assert any(name.endswith(".gamma") for name in tensors)
    assert_same(plain, load(rewrite(folder, tensors)))


@pytest.mark.parametrize("family", ["gpt2"])
def test_mask_buffers_are_no_weights(theirs: tuple[Any, Path]) -> None:
    """The first GPT-2 files: no prefix, and the triangle of every layer stored beside its weights."""
    _, folder = theirs
    plain = load(folder)
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors_of(folder).items()}
    for layer in range(3):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 24, 24)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    assert_same(plain, load(rewrite(folder, tensors)))
    assert load(folder).dtype == torch.float64  # the buffers have no say in it


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_position_ids_are_no_weights(family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    plain = load(folder)
    name = f"{LAYOUTS[family].base}embeddings.position_ids"
    assert_same(plain, load(rewrite(folder, {**tensors_of(folder), name: torch.arange(24)[None]})))


MATRIX = {
    "bert": "cls.predictions.decoder.weight",
    "roberta": "lm_head.decoder.weight",
    "distilbert": "vocab_projector.weight",
    "gpt2": "lm_head.weight",
    "modernbert": "decoder.weight",
    "modernbert-decoder": "decoder.weight",
    "xlnet": "lm_loss.weight",
}


def test_a_tied_matrix_may_be_written_out(family: str, theirs: tuple[Any, Path]) -> None:
    model, folder = theirs
    plain, tensors = load(folder), tensors_of(folder)
    assert MATRIX[family] not in tensors
    embedding = model.get_input_embeddings().weight.detach()
    assert_same(plain, load(rewrite(folder, {**tensors, MATRIX[family]: embedding})))


def test_a_tie_that_the_file_does_not_keep(family: str, theirs: tuple[Any, Path]) -> None:
    """config.json says tied, and the file has two matrices that differ: both are kept, as transformers does."""
    model, folder = theirs
    rewrite(folder, {**tensors_of(folder), MATRIX[family]: model.get_input_embeddings().weight.detach() * 2})
    with pytest.warns(UserWarning, match="the file holds two that differ"):
        ours = load(folder)
    assert not ours.config.tied
    expected = type(model).from_pretrained(folder).double().eval()  # it leaves a part of XLNet in float32
    positions = torch.arange(7).expand(2, -1)
    with torch.no_grad():
        difference = ours.logits(ours(IDS).last_hidden_state) - run(expected, IDS, position_ids=positions).logits
    assert float(difference.abs().max()) < 1e-9
    assert_same(ours, load(ours.save(folder)))


# Missing, unused, of the wrong shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_missing_tensors(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",), dtype=dtype)
    folder = model.save(tmp_path)
    tensors = tensors_of(folder)
    gone = sorted(name for name in tensors if "position" in name or "wpe" in name or ".1." in name or ".2." in name)
    rewrite(folder, {name: tensor for name, tensor in tensors.items() if name not in gone})
    message = refused(lambda: load(folder), f"lacks {len(gone)} tensors")
    assert str(folder) in message and "allow_new=True" in message
    assert sum(name in message for name in gone) == 8 and f"and {len(gone) - 8} more" in message

    with pytest.warns(UserWarning, match="drawn at random, since the checkpoint lacks them"):
        loaded, again = load(folder, allow_new=True, seed=3), load(folder, allow_new=True, seed=3)
        other = load(folder, allow_new=True, seed=4)
    assert_same(loaded, again)
    assert {parameter.dtype for parameter in loaded.parameters()} == {dtype}
    table = "network.stack.blocks.1.attention.query.weight"
    assert table in loaded.new_tensors
    kept, drawn, redrawn = (dict(of.named_parameters()) for of in (model, loaded, other))
    for name, parameter in drawn.items():
        assert torch.equal(parameter, kept[name]) == (name not in loaded.new_tensors), name
    assert not torch.equal(drawn[table], redrawn[table])
    assert 0.01 < float(drawn[table].detach().float().std()) < 0.03
    assert torch.isfinite(loaded(IDS).last_hidden_state).all()


def test_a_missing_tensor_in_float16_weights(family: str, tmp_path: Path) -> None:
    """On a CPU float16 becomes float32, the new tensors with it; asked for, all of it stays."""
    folder = tiny(family, heads=("lm",), dtype=torch.float16).save(tmp_path)
    tensors = tensors_of(folder)
    rewrite(folder, {name: tensor for name, tensor in tensors.items() if ".1." not in name})
    with pytest.warns(UserWarning, match="drawn at random"):
        for dtype in (None, "float16"):
            loaded = load(folder, dtype=dtype, allow_new=True)
            assert {p.dtype for p in loaded.parameters()} == {torch.float16 if dtype else torch.float32}


def test_unused_tensors(family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    plain = load(folder)
    extra = {"adapter.down.weight": torch.ones(2, 2), "adapter.up.bias": torch.ones(2)}
    rewrite(folder, {**tensors_of(folder), **extra})
    message = refused(
        lambda: load(folder), "has 2 tensors that a .* here does not use: adapter.down.weight, adapter.up"
    )
    assert "allow_unused=True" in message
    assert_same(plain, load(folder, allow_unused=True))


def test_more_layers_than_stated(family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    field = {"distilbert": "n_layers", "gpt2": "n_layer", "xlnet": "n_layer"}.get(family, "num_hidden_layers")
    refused(lambda: load(rewrite(folder, layer_types=None, **{field: 2})), "does not use: .*2.*")
    refused(lambda: load(rewrite(folder, layer_types=None, **{field: 4})), r"lacks \d+ tensors")


def test_a_wrong_shape_names_file_and_tensor(family: str, theirs: tuple[Any, Path]) -> None:
    model, folder = theirs
    tensors = tensors_of(folder)
    for name in tensors:
        longer = torch.cat([tensors[name], tensors[name][:1]])
        rewrite(folder, {**tensors, name: longer})
        message = refused(lambda: load(folder), "by config.json it should have")
        assert str(folder / "model.safetensors") in message and repr(name) in message
        assert str(tuple(longer.shape)) in message and str(tuple(tensors[name].shape)) in message
    rewrite(folder, tensors)
    model.save_pretrained(folder, max_shard_size="5KB")
    (folder / "model.safetensors").unlink()
    shard = next(folder.glob("model-00001-*.safetensors"))
    broken = {name: tensor[..., :-1].contiguous() for name, tensor in load_file(shard).items()}
    save_file(broken, shard)
    assert str(shard) in refused(lambda: load(folder), "by config.json it should have")


def test_a_transposed_tensor_is_of_the_wrong_shape(tmp_path: Path) -> None:
    """GPT-2's dense weights lie (in, out); a file that has them as everyone else's is no GPT-2 checkpoint."""
    folder = tiny("gpt2", heads=("lm",)).save(tmp_path)
    tensors = tensors_of(folder)
    name = "transformer.h.0.attn.c_attn.weight"
    refused(lambda: load(rewrite(folder, {**tensors, name: tensors[name].t()})), r"\(48, 16\), .* \(16, 48\)")


@pytest.mark.parametrize(("family", "lost"), [("bert", "bert.pooler"), ("distilbert", "pre_classifier")])
def test_a_declared_head_that_lost_a_part_is_no_other_head(family: str, lost: str, tmp_path: Path) -> None:
    """A classifier of rows without its pooler has the tensors of a tagger: config.json tells them apart."""
    folder = tiny(family, heads=("classifier",)).save(tmp_path)
    tensors = {name: tensor for name, tensor in tensors_of(folder).items() if not name.startswith(lost)}
    message = refused(lambda: load(rewrite(folder, tensors)), "lacks 2 tensors")
    assert f"{lost}.dense.weight" in message or f"{lost}.weight" in message


def test_heads_that_share_their_names_are_told_apart_by_the_architecture(tmp_path: Path) -> None:
    tagger = tiny("distilbert", heads=("tagger",)).save(tmp_path / "tagger")
    assert set(load(tagger).heads) == {"tagger"}
    classifier = tiny("distilbert", heads=("classifier",)).save(tmp_path / "classifier")
    assert set(load(rewrite(classifier, architectures=None)).heads) == {"classifier"}


# config.json


def test_fields_that_nobody_knows_are_named(family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    plain = load(folder)
    rewrite(folder, rope_theta=1e4, my_note="hello")
    with pytest.warns(UserWarning, match="fields that change nothing here: my_note, rope_theta") as caught:
        loaded = load(folder)
    assert_same(plain, loaded)
    assert caught[0].filename == __file__  # it points at the caller's line


REFUSED: dict[str, list[tuple[str, Any]]] = {
    "bert": [("position_embedding_type", "relative_key"), ("add_cross_attention", True), ("is_encoder_decoder", True)],
    "roberta": [("position_embedding_type", "relative_key_query"), ("add_cross_attention", True)],
    "distilbert": [("pruned_heads", {"0": [1]}), ("is_encoder_decoder", True)],
    "gpt2": [("add_cross_attention", True), ("pruned_heads", {"0": [1]})],
    "xlnet": [("attn_type", "both"), ("d_head", 5), ("summary_type", "attn"), ("is_encoder_decoder", True)],
}


@pytest.mark.parametrize(("family", "field", "value"), [(f, *case) for f in REFUSED for case in REFUSED[f]])
def test_fields_that_ask_for_more_are_refused_by_name(family: str, field: str, value: Any, tmp_path: Path) -> None:
    folder = tiny(family, heads=("lm",)).save(tmp_path)
    message = refused(lambda: load(rewrite(folder, **{field: value})), f"{field}={re.escape(repr(value))}")
    assert "config.json" in message


WIDTH = {"bert": "hidden_size", "roberta": "hidden_size", "distilbert": "dim", "gpt2": "n_embd"}
WIDTH |= {"xlnet": "d_model", "modernbert": "hidden_size", "modernbert-decoder": "hidden_size"}
TIED = "tie_word_embeddings"


@pytest.mark.parametrize("value", [0, -16, 2.5, "16", True, [16], 15, {}])
def test_sizes_that_cannot_be(family: str, value: Any, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    assert str(folder / "config.json") in refused(lambda: load(rewrite(folder, **{WIDTH[family]: value})), "width=")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_type": "brt"}, "no model type 'brt' here: did you mean 'bert'"),
        ({"model_type": "mamba"}, "Sightline has bert, roberta, distilbert, gpt2"),
        ({"model_type": ["bert"]}, "no model type"),
        ({"model_type": None}, "names no model_type"),
        ({"hidden_act": "gleu"}, "activation='gleu' is not known; choose one of"),
        ({"hidden_act": ["gelu"]}, "activation="),
        ({"hidden_dropout_prob": 1.5}, "dropout=1.5"),
        ({"layer_norm_eps": "1e-12"}, "norm_eps='1e-12'"),
        ({TIED: "false"}, "tied='false' must be true or false"),
        ({"num_attention_heads": 5}, "attention_heads=5 does not divide width=16"),
        ({"sightline": {"mask": "causl"}}, "did you mean causal"),
        ({"sightline": {"mask": "causal & "}}, "cannot read the mask"),
        ({"id2label": {"a": "b"}}, "id2label"),
    ],
)
def test_configurations_that_cannot_be(fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    folder = rewrite(tiny("bert", heads=("classifier",)).save(tmp_path), **fields)
    refused(lambda: load(folder), says)


def test_padding_decides_where_positions_start(tmp_path: Path) -> None:
    folder = tiny("roberta", heads=("lm",)).save(tmp_path)
    refused(lambda: load(rewrite(folder, pad_token_id="one")), "pad_token_id=.one. must be a whole number")
    refused(lambda: load(rewrite(folder, pad_token_id=30)), "positions=-5 must be")
    rewrite(folder, pad_token_id=3)
    loaded = load(folder)
    assert (loaded.config.position_offset, loaded.config.positions) == (4, 22)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\0\1"])
def test_a_damaged_config(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert "config.json" in refused(lambda: load(tmp_path), "JSON")


def test_what_is_no_model(tmp_path: Path) -> None:
    refused(lambda: load(tmp_path), "no config.json", NotFoundError)
    refused(lambda: load(tmp_path / "absent"), "no folder", NotFoundError)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(lambda: load(tmp_path), "weights|safetensors")


def test_masks(tmp_path: Path) -> None:
    """A decoder is causal; a mask of ours, where the file names one, goes before what the layout usually has."""
    folder = tiny("bert", heads=("lm",)).save(tmp_path)
    assert load(folder).mask == Bidirectional()
    assert load(rewrite(folder, is_decoder=True)).mask == Causal()
    loaded = load(rewrite(folder, sightline={"mask": "prefix(2) | causal"}))
    assert loaded.mask == loaded.trained_mask == Prefix(2) | Causal()


@pytest.mark.parametrize("mask", [Causal(), Prefix(2) | Causal()], ids=str)
def test_a_view_is_loaded_as_a_view(tmp_path: Path, mask: Mask) -> None:
    """What the weights were trained under is not forgotten when a model is saved through another mask."""
    view = load(tiny("bert", heads=("lm",)).with_mask(mask).save(tmp_path))
    assert (view.mask, view.trained_mask) == (mask, Bidirectional())
    for wrong, says in (["causel"], "did you mean causal"), ([], "list one or more"), ("causal", "list one or more"):
        refused(lambda wrong=wrong: load(rewrite(tmp_path, sightline={"trained_masks": wrong})), f"config.json.*{says}")


def test_end_tokens_of_the_generation_config_come_first(tmp_path: Path) -> None:
    folder = tiny("gpt2", heads=("lm",)).save(tmp_path)
    rewrite(folder, eos_token_id=3)
    assert end_tokens(load(folder)) == {3}
    (folder / "generation_config.json").write_text('{"eos_token_id": [4, 5]}')
    assert end_tokens(load(folder)) == {4, 5}


# Labels


def test_labels(family: str, tmp_path: Path) -> None:
    model = build(family, "tiny", heads=("classifier",), labels=("bad", "so-so", "good"), vocabulary=31)
    folder = model.save(tmp_path)
    assert load(folder).labels == model.labels == ("bad", "so-so", "good")
    stored = json.loads((folder / "config.json").read_text())
    assert stored["id2label"] == {"0": "bad", "1": "so-so", "2": "good"}
    assert stored["label2id"] == {"bad": 0, "so-so": 1, "good": 2}
    if family not in WITHOUT_REFERENCE:
        auto = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
        assert auto.config.id2label == {0: "bad", 1: "so-so", 2: "good"}
    refused(lambda: load(rewrite(folder, id2label={"0": "no", "1": "yes"})), "names 2 classes .* tells 3 apart")
    assert load(rewrite(folder, id2label={"0": "LABEL_0", "1": "LABEL_1"})).labels is None
    assert load(rewrite(folder, id2label=None, label2id=None)).labels is None


# Number types and places


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64", torch.float32, torch.bfloat16])
def test_types(dtype: Any, theirs: tuple[Any, Path]) -> None:
    model, folder = theirs
    wanted = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    loaded = load(folder, dtype=dtype)
    assert {parameter.dtype for parameter in loaded.parameters()} == {wanted}
    embedding = loaded.network.get_parameter("embeddings.tokens.weight")
    assert torch.equal(embedding, model.get_input_embeddings().weight.to(wanted))


@pytest.mark.parametrize("dtype", ["int8", "float8_e4m3fn", "tensor", "", "nn", torch.int64, torch.bool])
def test_types_that_are_not_for_weights(dtype: Any, tmp_path: Path) -> None:
    folder = tiny("bert", heads=()).save(tmp_path)
    refused(lambda: load(folder, dtype=dtype), "choose float32, bfloat16, float16 or float64", ConfigError)
    if isinstance(dtype, torch.dtype):
        refused(lambda: build("bert", "tiny", dtype=dtype), "choose float32", ConfigError)


def test_a_file_of_two_types_is_read_as_the_wider(family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    tensors = tensors_of(folder)
    mixed = {
        name: tensor.to(torch.float32 if tensor.dim() == 1 else torch.bfloat16) for name, tensor in tensors.items()
    }
    loaded = load(rewrite(folder, mixed))
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.isfinite(loaded(IDS).last_hidden_state).all()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn, torch.bool])
def test_quantised_tensors_are_refused(dtype: torch.dtype, family: str, theirs: tuple[Any, Path]) -> None:
    _, folder = theirs
    tensors = tensors_of(folder)
    name = next(name for name in tensors if tensors[name].dim() == 2)
    rewrite(folder, {**tensors, name: tensors[name].to(dtype)})
    assert repr(name) in refused(lambda: load(folder), "quantised checkpoints are not supported")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:99"])
def test_places(device: str, tmp_path: Path) -> None:
    folder = tiny("bert", heads=()).save(tmp_path)
    assert load(folder, device="cpu").device == load(folder, device=torch.device("cpu")).device == torch.device("cpu")
    refused(lambda: load(folder, device=device), "'cpu' always can", ConfigError)
    message = refused(lambda: build("bert", "tiny", device=device), "'cpu' always can", ConfigError)
    assert "at start of device string" not in message


def test_training_a_loaded_model_leaves_its_file_alone(family: str, theirs: tuple[Any, Path]) -> None:
    """Weights are views of the mapped file; a step of an optimizer must not write through them."""
    _, folder = theirs
    before = (folder / "model.safetensors").read_bytes()
    model, other = load(folder), load(folder)
    untouched = {name: parameter.clone() for name, parameter in other.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(IDS).last_hidden_state.square().sum().backward()
    optimizer.step()
    assert (folder / "model.safetensors").read_bytes() == before
    assert all(torch.equal(parameter, untouched[name]) for name, parameter in other.named_parameters())


# Nothing is executed


class Payload:
    """Unpickled, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_runs_nothing(zipped: bool, family: str, tmp_path: Path) -> None:
    folder = tiny(family, heads=("lm",)).save(tmp_path / "model")
    tensors: dict[str, Any] = dict(tensors_of(folder))
    (folder / "model.safetensors").unlink()
    torch.save(
        {**tensors, "z": Payload(tmp_path / "run")}, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped
    )
    assert "pytorch_model.bin" in refused(lambda: load(folder), "cannot read")
    assert not (tmp_path / "run").exists()


def test_code_beside_a_checkpoint_runs_nothing(family: str, tmp_path: Path) -> None:
    plain = tiny(family, heads=("lm",))
    folder = plain.save(tmp_path / "model")
    code = f"import os\nos.mkdir({str(tmp_path / 'run')!r})\n"
    for name in ("modeling.py", "configuration.py", "tokenization.py", "__init__.py"):
        (folder / name).write_text(code)
    classes = {
        "AutoConfig": "configuration.Config",
        "AutoModel": "modeling.Model",
        "AutoModelForMaskedLM": "modeling.Model",
    }
    rewrite(folder, auto_map=classes, trust_remote_code=True, custom_pipelines={"x": {"impl": "modeling.Pipe"}})
    with pytest.warns(UserWarning, match="change nothing here: auto_map, custom_pipelines, trust_remote_code"):
        loaded = load(folder)
    assert_same(plain, loaded)
    assert not (tmp_path / "run").exists()
    again = json.loads((loaded.save(tmp_path / "again") / "config.json").read_text())
    assert not {"auto_map", "custom_pipelines"} & again.keys()


# From a hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on this computer that the process uses, with an empty cache."""
    with HubServer() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        settings = {"ENDPOINT": server.url, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_OFFLINE": False}
        paths = {"HF_HUB_CACHE": "cache", "HF_TOKEN_PATH": "token", "AGENT_HARNESSES_PATH": "agents.json"}
        for name, value in {**settings, **{key: str(tmp_path / path) for key, path in paths.items()}}.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_by_the_name_on_a_hub(family: str, hub: HubServer, tmp_path: Path) -> None:
    """Weights, configuration and tokenizer come over the wire once, and again from the cache when the hub is gone."""
    kind = "bytelevel-bpe" if family in ("gpt2", "roberta") else "wordpiece"
    tokenizer = learn_tokenizer(["a few words to learn from", "and a few more"] * 3, kind=kind, vocabulary=300)
    first, second = (build(family, "tiny", tokenizer=tokenizer, seed=seed, heads=("lm",)) for seed in (0, 1))
    old = hub.commit("owner/name", files_of(first.save(tmp_path / "first")))
    hub.commit("owner/name", files_of(second.save(tmp_path / "second")))
    loaded = load("owner/name")
    assert_same(second, loaded)
    assert_same(first, load("owner/name", revision=old))
    texts = ["a few more words", "learn"]
    made = [one(texts, padding_side="right")["input_ids"] for one in (loaded.tokenizer, tokenizer)]
    assert torch.equal(*made)  # padded alike: an XLNet that is opened pads on the left
    given = second.tokenizer(texts)
    assert torch.allclose(loaded(**given).last_hidden_state, second(**given).last_hidden_state, atol=1e-6)
    hub.stop()
    assert_same(second, load("owner/name"))


def test_old_weights_on_a_hub(family: str, hub: HubServer, tmp_path: Path) -> None:
    """A repository with pickles only."""
    model = tiny(family, heads=("lm",))
    folder = model.save(tmp_path / "model")
    torch.save(tensors_of(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    hub.commit("name", files_of(folder))
    assert_same(model, load("name"))


def test_a_name_that_the_hub_does_not_have(hub: HubServer) -> None:
    refused(lambda: load("owner/nothing"), "no model 'owner/nothing'", NotFoundError)


def test_no_warning_where_nothing_is_wrong(family: str, theirs: tuple[Any, Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(load(theirs[1]).heads) <= set(HEADS[family])


@pytest.mark.parametrize("ends", ["two", [1, "a"], True, 1.5])
def test_end_tokens_are_ids(tmp_path: Path, ends: object) -> None:
    folder = rewrite(tiny("gpt2", heads=("lm",)).save(tmp_path), eos_token_id=ends)
    refused(lambda: load(folder), "eos_token_id .* is no token id")


def test_a_tokenizer_makes_no_more_than_the_network_reads(tmp_path: Path) -> None:
    """A BERT tokenizer beside a network without token types: what it makes goes in as it is."""
    tokenizer = learn_tokenizer(["a few words to learn from"], vocabulary=60)
    folder = build("modernbert", "tiny", tokenizer=tokenizer).save(tmp_path)
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    names = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps({**stated, "model_input_names": names}))
    model = load(folder)
    assert "token_type_ids" not in model.tokenizer(["a few words"])
    assert model(**model.tokenizer(["a few words"])).last_hidden_state.shape[1] == 5
