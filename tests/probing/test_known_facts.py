"""What is known of transformers' models comes out of the audit, without a word about any of them in it."""

import warnings
from typing import Any

import pytest
import transformers
from torch import Tensor, nn

from probing.shrunk import grown
from sightline.probing import causes
from sightline.probing.audit import audit
from sightline.probing.report import Report

LENGTHS = (1, 2, 3, 8)
SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore")  # transformers' own, at each model that is built
    transformers.logging.set_verbosity_error()


def bert(**settings: Any) -> nn.Module:
    config = transformers.BertConfig(vocab_size=40, max_position_embeddings=32, **SIZES, **settings)
    return grown(transformers.BertLMHeadModel(config)).eval()


def causes_of(report: Report) -> dict[str, str | None]:
    return {check.name: check.cause for check in report.failed}


def test_a_bert_that_is_called_a_decoder_after_it_was_made_sees_both_sides_on_one_kernel() -> None:
    """Its mask asks the configuration on each call, its layers asked when they were made: SDPA hides nothing."""
    model = bert(is_decoder=False)
    model.config.is_decoder = True
    found = causes_of(audit(model, expect="causal", lengths=LENGTHS))
    assert found["nobody sees what is hidden"] == causes.NO_MASK
    assert found["attention kernels agree"] == causes.ONE_KERNEL
    from_the_start = causes_of(audit(bert(is_decoder=True), expect="causal", lengths=LENGTHS))
    assert from_the_start == {"padding on the left is inert": causes.POSITIONS_COUNT_PADDING}


def test_is_causal_is_dropped_as_soon_as_a_row_mate_is_padded() -> None:
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = bert(is_decoder=False)

        def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            return self.bert(input_ids, attention_mask=attention_mask, is_causal=True).logits

    report = audit(Causal(), expect="causal", lengths=LENGTHS)
    assert report.check("nobody sees what is hidden").status == "passed"
    assert causes_of(report)["a padded row-mate changes nobody's sight"] == causes.WHEN_PADDED


def test_xlnet_drops_the_attention_mask_when_it_writes() -> None:
    config = transformers.XLNetConfig(vocab_size=40, d_model=16, n_layer=2, n_head=2, d_inner=24)
    report = audit(grown(transformers.XLNetLMHeadModel(config)).eval(), expect="bidirectional", lengths=LENGTHS)
    assert report.check("what stands in padding is inert").status == "passed"
    assert causes_of(report)["generation ignores what stands in padding"] == causes.MASK_DROPPED


def test_gpt2_counts_padding_and_adds_a_word_for_types_of_zero() -> None:
    config = transformers.GPT2Config(vocab_size=40, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    report = audit(grown(transformers.GPT2LMHeadModel(config)).eval(), expect="causal", lengths=LENGTHS)
    assert causes_of(report) == {
        "padding on the left is inert": causes.POSITIONS_COUNT_PADDING,
        "token types matter when given": causes.TYPES_DEFAULT,
    }
    assert "with position_ids that leave padding out, nothing changes" in report.failed[0].detail


def test_falcon_loses_its_mask_when_it_is_asked_for_attention_weights() -> None:
    """The boolean mask that is meant for SDPA is added to the scores of the other path: 1 or 0, which hides nothing."""
    config = transformers.FalconConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    report = audit(grown(transformers.FalconForCausalLM(config)).eval(), expect="causal", lengths=LENGTHS)
    assert report.check("nobody sees what is hidden").status == "passed"
    assert causes_of(report) == {"attention rows sum to one and respect the mask": causes.ASKED_PATH}
