"""explain: every kind of setting is named, rounding is told apart, and nothing stays changed.

Shapes: T tokens.
"""

import json
import re
from dataclasses import replace

import pytest
import torch
import transformers
from torch import Tensor, nn

import sightline as sl
from contract.families import tiny
from probing.mutants.catalogue import causal_unless_padded, padding_too
from probing.mutants.mixers import BatchNormalize, Dropout
from probing.mutants.network import Parts, Tiny, random_size
from probing.subjects import VOCABULARY, Averaging, bert, gpt2
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError
from sightline.probing.explain import explain
from sightline.probing.explanation import Explanation
from sightline.probing.run import Run, parse_settings
from sightline.probing.setup import What, setup_of
from sightline.probing.staging import Stage
from sightline.probing.subject import subject

IDS = [5, 6, 7, 8, 9]
OTHER_END = [5, 6, 7, 8, 30]


@pytest.fixture(scope="module")
def decoder() -> nn.Module:
    return gpt2()


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    return bert()


def of(model: object, **settings: object) -> Explanation:
    return explain(Run(model, IDS), Run(model, IDS, **settings))  # type: ignore[arg-type]


def new_gpt2() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=1))


# The question that is asked most


def test_a_model_built_from_a_config_drops_at_random() -> None:
    model = new_gpt2()
    found = explain(Run(model, IDS), Run(model, OTHER_END), at=0)
    assert found.verdict() == (
        "the difference is dropout: the model is in training mode (built from a config);"
        " in eval mode, position 0 does not change"
    )
    assert found.first is not None and found.first.module == "transformer.drop"
    assert model.training


def test_what_another_text_changes_is_told_from_what_dropout_changes() -> None:
    model = new_gpt2()
    found = explain(Run(model, IDS), Run(model, OTHER_END))
    assert [cause.name for cause in found.found] == ["draws", "what"]
    dropout, text = found.found
    assert dropout.detail.endswith("in eval mode, positions 0 to 3 do not change")
    assert text.positions == (4,) and "token 4 is '#9' in a, '#30' in b" in text.detail
    assert set(dropout.positions) == {0, 1, 2, 3, 4} and found.changed == (0, 1, 2, 3, 4)
    assert sum(cause.share for cause in found.found) == pytest.approx(1, abs=0.1)


def test_a_loaded_model_that_somebody_set_to_train(decoder: nn.Module) -> None:
    found = of(decoder, mode="train")
    assert found.verdict() == "the difference is dropout: b is in training mode; in eval mode, nothing changes"
    assert not decoder.training


# One cause


ONE_CAUSE = [
    ({"padding": "left:3"}, "padding", "with position_ids that leave padding out, nothing changes", "transformer.wpe"),
    ({"position_ids": "2,3,4,5,6"}, "position_ids", "left to the model in a, 2, 3, 4, 5, 6 in b", "transformer.wpe"),
    ({"token_types": 1}, "token_types", "left to the model in a, 1 in b", "transformer"),
    ({"attention_mask": [1, 0, 1, 1, 1]}, "attention_mask", "given as 1, 0, 1, 1, 1 in b", "transformer.h.0.attn"),
]


@pytest.mark.parametrize(("settings", "name", "said", "layer"), ONE_CAUSE)
def test_one_cause_explains_all(
    decoder: nn.Module, settings: dict[str, object], name: str, said: str, layer: str
) -> None:
    found = of(decoder, **settings)
    (cause,) = found.causes
    assert found.status == cause.status == "different" and cause.name == name
    assert said in cause.detail and said in found.verdict()
    assert cause.alone == cause.back == pytest.approx(1) and found.unexplained == pytest.approx(0)
    assert found.first is not None and found.first.module == layer


INERT = [
    ({"padding": "right:3"}, "same"),
    ({"batch": 4}, "rounding"),
    ({"batch": "3:padded"}, "rounding"),
    ({"cache": "on"}, "rounding"),
    ({"cache": 2}, "rounding"),
    ({"kernel": "eager"}, "rounding"),
    ({"dtype": "bfloat16"}, "rounding"),
    ({"dtype": "float64"}, "rounding"),
    ({"position_ids": "real"}, "same"),
    ({"attention_mask": "on"}, "same"),
]


@pytest.mark.parametrize(("settings", "status"), INERT, ids=str)
def test_rounding_is_no_difference(decoder: nn.Module, settings: dict[str, object], status: str) -> None:
    found = of(decoder, **settings)
    assert found.status in (status, "same") and not found.found and found.first is None, str(found)
    words = "the same, bit for bit" if found.status == "same" else "the difference is rounding, brought in by"
    assert words in found.verdict()
    assert found.changed == ()


def test_the_same_run_twice_is_the_same(decoder: nn.Module) -> None:
    found = of(decoder)
    assert found.status == "same" and found.causes == () and found.difference == 0
    assert str(found).startswith("the outputs are the same, bit for bit")


def test_weights_are_compared_by_name(decoder: nn.Module) -> None:
    other = gpt2()
    with torch.no_grad():
        other.transformer.h[1].mlp.c_fc.bias.add_(1)
    found = explain(Run(decoder, IDS), Run(other, IDS))
    (cause,) = found.causes
    assert cause.name == "subject" and "tensors differ, first transformer.h.1.mlp.c_fc.bias" in cause.detail
    assert cause.detail.startswith("1 of ")
    assert found.first is not None and found.first.module == "transformer.h.1.mlp.c_fc"


def test_an_encoding_is_taken_apart(decoder: nn.Module) -> None:
    """A row alone, and the same row beside a longer one, padded on the left."""
    rows = torch.tensor([[0, 0, *IDS], [*range(11, 18)]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1] * 7])
    alone = {"input_ids": torch.tensor([IDS]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    found = explain(Run(decoder, alone), Run(decoder, {"input_ids": rows, "attention_mask": mask}))
    assert [cause.name for cause in found.found] == ["padding"]
    assert {cause.name for cause in found.causes} == {"padding", "mates"}
    second = explain(Run(decoder, IDS), Run(decoder, {"input_ids": rows, "attention_mask": mask}, row=1), at=[0])
    assert second.found[0].name == "what"


def test_two_rows_of_an_encoding_differ_by_their_texts() -> None:
    """What has a number for each token goes with a text of another length."""
    model = bert()
    ids, types = [[*IDS, 0, 0], list(range(11, 18))], [[0, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1]]
    mask = [[1] * 5 + [0] * 2, [1] * 7]
    for more in ({}, {"token_type_ids": torch.tensor(types)}, {"token_type_ids": torch.zeros(2, 7, dtype=torch.long)}):
        rows = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), **more}
        found = explain(Run(model, rows, row=0), Run(model, rows, row=1))
        assert [cause.name for cause in found.found] == ["what"] and found.unexplained == pytest.approx(0, abs=1e-6)


# Several causes


def test_causes_that_interact_are_said_to() -> None:
    """Without padding a missing mask does nothing, and with the mask padding does nothing: only both do."""
    model = bert()
    found = of(model, padding="right:3", attention_mask="off")
    assert {cause.name: cause.alone for cause in found.causes} == {"padding": 0, "attention_mask": 0}
    assert found.verdict().startswith("the difference is the attention mask and padding together, none of them alone: ")
    (pair,) = found.together
    assert set(pair.labels) == {"the attention mask", "padding"} and pair.share == pytest.approx(1)
    assert found.unexplained == pytest.approx(0, abs=1e-9)


def test_a_remedy_is_offered_only_where_it_helps() -> None:
    """Rotary positions need none to be left out; what padding does here comes of the mask that is not given."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=VOCABULARY, **sizes)).eval()
    found = of(model, padding="left:3", attention_mask="off")
    assert "padding together" in found.verdict() and "position_ids" not in found.verdict()


def test_shares_of_a_sentence_make_a_whole(decoder: nn.Module) -> None:
    found = of(decoder, padding="left:2", token_types=1)
    shares = [int(share) * (-1 if less else 1) for share, less in re.findall(r"(\d+) %( less)?", found.verdict())]
    assert found.together and sum(shares) == pytest.approx(100, abs=2)


def test_who_acts_alone_is_not_said_to_act_together() -> None:
    """Dropout does what it does, and padding and the missing mask only together."""
    model = bert()
    found = of(model, mode="train", padding="right:3", attention_mask="off")
    assert found.verdict().startswith("the difference is dropout (") and "none of them alone" not in found.verdict()
    shares = re.findall(r"(\d+) %( less)?", found.verdict())
    assert sum(int(share) * (-1 if less else 1) for share, less in shares) == pytest.approx(100, abs=3)


def test_two_tokenizers_leave_nothing_unexplained() -> None:
    """The other model cannot read the first one's text: its share is what goes where it is taken back."""
    texts = ["the tea was hot", "the soup was weak"]
    runs = []
    for size in (60, 80):
        tokenizer = sl.learn_tokenizer(texts, kind="wordpiece", vocabulary=size)
        model = tiny("bert", vocabulary=size, dtype=torch.float32)
        model.tokenizer = tokenizer
        runs.append(Run(model, "the tea"))
    found = explain(*runs, output="last_hidden_state")
    assert None in [cause.alone for cause in found.causes] or len(found.causes) == 1
    assert found.unexplained == pytest.approx(0, abs=1e-6)


def test_two_causes_share_a_difference(decoder: nn.Module) -> None:
    found = of(decoder, padding="left:2", token_types=1)
    assert {cause.name for cause in found.found} == {"padding", "token_types"}
    whole = sum(cause.alone or 0 for cause in found.causes) + sum(pair.share for pair in found.together)
    assert whole == pytest.approx(1) and found.unexplained == pytest.approx(0, abs=1e-9)
    assert " %)" in found.verdict() and len({cause.first.module for cause in found.found if cause.first}) == 2


def test_causes_that_cancel_are_said_to(decoder: nn.Module) -> None:
    """Padding on the left moves positions, and positions that leave it out move them back."""
    found = of(decoder, padding="left:3", position_ids="real")
    assert found.status in ("same", "rounding") and found.changed == ()
    assert found.verdict().endswith("; padding and position ids change them, and nothing is left of it")


def test_what_does_nothing_takes_no_share(decoder: nn.Module) -> None:
    found = of(decoder, token_types=1, cache="on", batch=2)
    assert [cause.name for cause in found.found] == ["token_types"]
    assert found.causes[0].alone == pytest.approx(1, abs=1e-4)


# Models of ours, modules, functions


def test_the_mask_of_a_model_of_ours() -> None:
    model = tiny("bert", dtype=torch.float32)
    found = of(model, mask="causal")
    assert found.verdict() == "the difference is the mask: bidirectional in a, causal in b"
    assert found.first is not None and "blocks.0.attention" in found.first.module
    assert str(model.mask) == "bidirectional"


@pytest.mark.parametrize("family", ["gpt2", "transfo-xl", "xlnet", "modernbert"])
def test_padding_and_mates_are_inert_in_our_families(family: str) -> None:
    model = tiny(family, dtype=torch.float32)
    found = of(model, padding="left:3", batch="3:padded", kernel="reference")
    assert found.status in ("same", "rounding"), str(found)


def test_a_memory_is_a_cache_of_another_kind() -> None:
    model = tiny("transfo-xl", dtype=torch.float32)
    found = of(model, memory=2)
    assert [cause.label for cause in found.causes] == ["the memory"]


def test_special_tokens_are_matched_by_the_text() -> None:
    tokenizer = sl.learn_tokenizer(["the tea was hot", "the soup was weak"], kind="wordpiece", vocabulary=80)
    model = tiny("bert", vocabulary=len(tokenizer), dtype=torch.float32)
    model.tokenizer = tokenizer
    found = explain(Run(model, "the tea"), Run(model, "the tea", special_tokens=False))
    assert [cause.label for cause in found.found] == ["special tokens"]
    assert found.compared == tuple(range(1, len(found.tokens) - 1))
    longer = explain(Run(model, "the tea"), Run(model, "the tea was hot"))
    assert [cause.name for cause in longer.found] == ["what"] and "tokens in a" in longer.verdict()


def test_functions_and_modules_are_explained_too() -> None:
    table = torch.randn(VOCABULARY, 4, dtype=torch.float64)
    rows = explain(
        Run(lambda ids: table[ids].cumsum(1), IDS, vocabulary=VOCABULARY),
        Run(lambda ids: table[ids].cumsum(1) + 1, IDS, vocabulary=VOCABULARY),
    )
    assert rows.verdict() == "the difference is the model: another function in b"
    found = of(Averaging(dropout=0.5), mode="train")
    assert found.found[0].label == "dropout" and found.first is not None and found.first.module == "dropout"


# Broken models


def tiny_mutant(**parts: object) -> Tiny:
    return Tiny(random_size(1), Parts(**parts), 1).eval()  # type: ignore[arg-type]


def test_padding_that_is_attended_to() -> None:
    found = of(tiny_mutant(sees=padding_too), padding="left:3")
    assert [cause.name for cause in found.found] == ["padding"]
    healthy = of(tiny_mutant(), padding="left:3")
    assert healthy.status in ("same", "rounding")


def test_a_padded_row_mate_that_takes_the_mask_away() -> None:
    model = tiny_mutant(sees=causal_unless_padded)
    assert of(model, batch=3).status in ("same", "rounding")
    found = of(model, batch="3:padded")
    assert found.verdict().startswith("the difference is the rest of the batch: alone in a, with 2 other rows")


def test_statistics_of_the_batch_are_no_dropout() -> None:
    model = tiny_mutant(mixer=lambda width: BatchNormalize(width, kept=True))
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    found = of(model, mode="train")
    assert found.verdict() == "the difference is training mode: b is in training mode; in eval mode, nothing changes"
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_dropout_that_eval_mode_does_not_end() -> None:
    found = of(tiny_mutant(mixer=lambda width: Dropout(width, always=True)))
    assert found.verdict() == "the difference is random numbers: they are drawn in eval mode, too"


def test_what_differs_by_itself_is_left_unexplained() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.calls = nn.Embedding(VOCABULARY, 4), [0]

        def forward(self, ids: Tensor) -> Tensor:
            self.calls[0] += 1
            return self.table(ids) + 0.1 * (self.calls[0] % 2)

    found = of(Counting().eval())
    assert found.status == "cannot tell" and not found.found
    assert any("the same run twice differs" in note for note in found.notes)


def test_a_cache_that_is_wrong_is_named() -> None:
    model = tiny_mutant()
    broken = replace(subject(model, step=model.step), step=lambda ids, state, inputs: (model(ids).logits, 1))
    found = explain(Run(broken, IDS), Run(broken, IDS, cache=2))
    assert found.verdict() == "the difference is the cache: the whole at once in a, in pieces of 2 in b"
    assert found.changed == (2, 3, 4)


def test_numbers_that_are_none_are_explained_and_are_json() -> None:
    class Lost(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(VOCABULARY, 4)

        def forward(self, ids: Tensor) -> Tensor:
            return torch.where((ids == 30)[..., None], torch.nan, self.table(ids))

    model = Lost().eval()
    found = explain(Run(model, IDS), Run(model, OTHER_END))
    (cause,) = found.causes
    assert cause.alone == cause.back == pytest.approx(1) and found.changed == (4,)
    assert found.notes == ("b gives numbers that are none (NaN or infinite) at position 4",)
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["difference"] is None
    assert "inf" not in str(found).replace("infinite", "")


def test_a_model_may_be_in_training_mode_in_part() -> None:
    model = Averaging(dropout=0.5).train()
    model.dropout.eval()
    found = of(model, mode="train")
    assert "a is in training mode in part and b is in training mode" in found.verdict()


def test_the_same_tensors_otherwise_configured() -> None:
    one, other = bert(), bert()
    other.load_state_dict(one.state_dict())
    for module in other.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 0.1
    other.config.layer_norm_eps = 0.1
    verdict = explain(Run(one, IDS), Run(other, IDS)).verdict()
    assert verdict.startswith("the difference is the model: the same tensors in a and b; configured otherwise: ")
    assert "layer_norm_eps (1e-12, 0.1)" in verdict


# What is left behind, what is refused


def test_nothing_stays_changed() -> None:
    model = new_gpt2()
    model.transformer.h[0].eval()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    modes, drawn = [each.training for each in model.modules()], torch.get_rng_state()
    explain(Run(model, IDS), Run(model, OTHER_END, mode="train", kernel="eager", dtype="bfloat16", batch=2))
    assert [each.training for each in model.modules()] == modes and torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    assert torch.get_default_dtype() == torch.float32
    with pytest.raises(SightlineError):
        explain(Run(model, IDS), Run(model, IDS, kernel="none such"))
    assert [each.training for each in model.modules()] == modes


WRONG = [
    ({"mode": "training"}, ConfigError, "choose train or eval"),
    ({"batch": "x"}, ConfigError, "batch='x'"),
    ({"batch": 0}, ConfigError, "1 or more"),
    ({"padding": "top:3"}, ConfigError, "left, right"),
    ({"dtype": "int8"}, ConfigError, "float32"),
    ({"cache": "on", "memory": 2}, ConfigError, "set one of them"),
    ({"attention_mask": [1, 2, 1, 1, 1]}, ConfigError, "0 .hidden. and 1"),
    ({"attention_mask": [1, 1]}, InputError, "one for each"),
    ({"position_ids": "somewhere"}, ConfigError, "real or off"),
    ({"special_tokens": False}, ConfigError, "is about texts"),
    ({"kernel": "fast"}, ConfigError, "eager, sdpa"),
    ({"mask": "causal"}, UnsupportedError, "models of ours"),
    ({"memory": 2}, UnsupportedError, "has no memory"),
]


@pytest.mark.parametrize(("settings", "error", "said"), WRONG, ids=str)
def test_wrong_settings_are_taught(
    decoder: nn.Module, settings: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        of(decoder, **settings)


def test_wrong_inputs_are_taught(decoder: nn.Module) -> None:
    for wrong, said in (
        (Run(decoder, "a text"), "without a tokenizer"),
        (Run(decoder, [VOCABULARY]), "outside the vocabulary"),
        (Run(decoder, {"input_ids": torch.tensor([IDS]), "labels": torch.tensor([IDS])}), "labels"),
        (Run(decoder, {"input_ids": torch.tensor([IDS])}, row=3), "row=3"),
        (Run(Averaging(), IDS, padding="left:2"), "takes no attention_mask"),
        (Run(Averaging(), IDS), "16 numbers|41 numbers"),
    ):
        with pytest.raises(SightlineError, match=said):
            explain(Run(decoder, IDS), wrong)
    for at in (9, -1, "0", 1.5, True, torch.tensor([4])):
        with pytest.raises(InputError, match=r"at=.* is no token"):
            explain(Run(decoder, IDS), Run(decoder, OTHER_END), at=at)  # type: ignore[arg-type]
    for settings, said in ((["a", "b"], "several texts"), (None, "neither a text"), ([1.5], "whole numbers")):
        with pytest.raises(InputError, match=said):
            explain(Run(decoder, settings), Run(decoder, IDS))  # type: ignore[arg-type]
    for ids in ([IDS, IDS], torch.tensor([IDS, IDS]), [2**70], torch.tensor([1.5])):
        with pytest.raises(InputError, match="token id"):
            explain(Run(decoder, ids), Run(decoder, IDS))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rows of an encoding"):
        explain(Run(decoder, IDS, row=1), Run(decoder, IDS))
    for encoding in ({"input_ids": [["a"]]}, {"input_ids": [[5, 6], [7]]}):
        with pytest.raises(InputError, match="an encoding holds numbers"):
            explain(Run(decoder, encoding), Run(decoder, IDS))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mask=3 is no mask"):
        Run(decoder, IDS, mask=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cannot be called with a text"):
        explain(Run(decoder, "a text", tokenizer=3), Run(decoder, IDS))
    with pytest.raises(ConfigError, match="explain compares two runs"):
        explain(decoder, decoder)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="seed='x'"):
        explain(Run(decoder, IDS), Run(decoder, IDS), seed="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="output=3"):
        explain(Run(decoder, IDS), Run(decoder, IDS), output=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="more tokens, positions"):
        explain(Run(decoder, IDS), Run(decoder, [5] * 1000))


def test_settings_are_read_as_they_are_written() -> None:
    assert parse_settings(["mode=train", "token-types=1"]) == {"mode": "train", "token_types": "1"}
    for wrong, said in (("mod=train", "did you mean mode"), ("mode", "has no value"), ("seed=1", "there are")):
        with pytest.raises(ConfigError, match=said):
            parse_settings([wrong])
    with pytest.raises(ConfigError, match="set twice"):
        parse_settings(["mode=train", "mode=eval"])


def test_an_explanation_is_json(decoder: nn.Module) -> None:
    found = json.loads(json.dumps(of(decoder, token_types=1, padding="left:2").as_dict()))
    assert found["verdict"].startswith("the difference is") and len(found["causes"]) == 2
    assert found["first"]["module"]


def test_what_was_run_is_remembered_by_what_it_is_and_not_where_it_lay() -> None:
    class Cut(list[int]):  # a list cannot be hashed, and a tokenizer need not be
        def __call__(self, text: str, add_special_tokens: bool) -> list[int]:
            return [ord(letter) % VOCABULARY for letter in text]

    stage, plain = Stage("auto"), setup_of(Run(Averaging(), "abc", tokenizer=Cut()), 0, "auto")
    for text in ("abc", "bca", "cab", "abc"):
        fresh = replace(plain, what=What(text=text, tokenizer=Cut()))
        assert torch.equal(stage.outputs(fresh), stage.run(fresh))
        del fresh  # so that the next may lie in its place
