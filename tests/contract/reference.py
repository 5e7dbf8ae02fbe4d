"""transformers' models, tiny and random: the reference that nobody here wrote.

Shapes: B rows, T tokens.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.models.modernbert import modeling_modernbert
from transformers.models.modernbert_decoder import modeling_modernbert_decoder

from contract.families import LAYERS, VOCABULARY, WITHOUT_REFERENCE, randomize

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": (
        "BertConfig",
        {
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 2,
            "max_position_embeddings": 24,
        },
    ),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 16, "hidden_dim": 24, "n_layers": LAYERS, "n_heads": 2, "max_position_embeddings": 24},
    ),
    "gpt2": ("GPT2Config", {"n_embd": 16, "n_inner": 24, "n_layer": LAYERS, "n_head": 2, "n_positions": 24}),
}
CONFIGS["modernbert"] = (
    "ModernBertConfig",
    {**CONFIGS["bert"][1], "local_attention": 4},
)
CONFIGS["modernbert-decoder"] = ("ModernBertDecoderConfig", CONFIGS["modernbert"][1])
CONFIGS["roberta"] = ("RobertaConfig", {**CONFIGS["bert"][1], "max_position_embeddings": 26, "type_vocab_size": 1})

CONFIGS["xlnet"] = ("XLNetConfig", {"d_model": 16, "d_inner": 24, "n_layer": LAYERS, "n_head": 2})

ARCHITECTURES: dict[str, tuple[str, dict[str, str]]] = {
    "BertModel": ("bert", {"pooler": "pooler_output"}),
    "BertForMaskedLM": ("bert", {"lm": "logits"}),
    "BertLMHeadModel": ("bert", {"lm": "logits"}),
    "BertForPreTraining": (
        "bert",
        {"lm": "prediction_logits", "next_sentence": "seq_relationship_logits"},
    ),
    "BertForNextSentencePrediction": ("bert", {"next_sentence": "logits"}),
    "BertForSequenceClassification": ("bert", {"classifier": "logits"}),
    "BertForTokenClassification": ("bert", {"tagger": "logits"}),
    "BertForQuestionAnswering": ("bert", {"span": "start_logits end_logits"}),
    "RobertaModel": ("roberta", {"pooler": "pooler_output"}),
    "RobertaForMaskedLM": ("roberta", {"lm": "logits"}),
    "RobertaForCausalLM": ("roberta", {"lm": "logits"}),
    "RobertaForSequenceClassification": ("roberta", {"classifier": "logits"}),
    "RobertaForTokenClassification": ("roberta", {"tagger": "logits"}),
    "RobertaForQuestionAnswering": ("roberta", {"span": "start_logits end_logits"}),
    "DistilBertModel": ("distilbert", {}),
    "DistilBertForMaskedLM": ("distilbert", {"lm": "logits"}),
    "DistilBertForSequenceClassification": ("distilbert", {"classifier": "logits"}),
    "DistilBertForTokenClassification": ("distilbert", {"tagger": "logits"}),
    "DistilBertForQuestionAnswering": ("distilbert", {"span": "start_logits end_logits"}),
    "GPT2Model": ("gpt2", {}),
    "GPT2LMHeadModel": ("gpt2", {"lm": "logits"}),
    "GPT2ForSequenceClassification": ("gpt2", {"classifier": "logits"}),
    "GPT2ForTokenClassification": ("gpt2", {"tagger": "logits"}),
    "GPT2ForQuestionAnswering": ("gpt2", {"span": "start_logits end_logits"}),
    "ModernBertModel": ("modernbert", {}),
    "ModernBertForMaskedLM": ("modernbert", {"lm": "logits"}),
    "ModernBertForSequenceClassification": ("modernbert", {"classifier": "logits"}),
    "ModernBertForTokenClassification": ("modernbert", {"tagger": "logits"}),
    "ModernBertForQuestionAnswering": ("modernbert", {"span": "start_logits end_logits"}),
    "ModernBertDecoderModel": ("modernbert-decoder", {}),
    "ModernBertDecoderForCausalLM": ("modernbert-decoder", {"lm": "logits"}),
    "ModernBertDecoderForSequenceClassification": ("modernbert-decoder", {"classifier": "logits"}),
    "XLNetModel": ("xlnet", {}),
    "XLNetLMHeadModel": ("xlnet", {"lm": "logits"}),
    "XLNetForSequenceClassification": ("xlnet", {"classifier": "logits"}),
    "XLNetForTokenClassification": ("xlnet", {"tagger": "logits"}),
    "XLNetForQuestionAnsweringSimple": ("xlnet", {"span": "start_logits end_logits"}),
}
"""Class → layout, and for each of our heads the fields of its output that hold the same numbers."""

CAUSAL = {"BertLMHeadModel", "RobertaForCausalLM"}  # bidirectional unless the configuration says is_decoder


class Names(dict[str, str]):
    """Classes of transformers by layout; a test that asks for one that there is none of is skipped, and says why."""

    def __missing__(self, layout: str) -> str:
        pytest.skip(WITHOUT_REFERENCE[layout])


LM = Names(bert="BertForMaskedLM", roberta="RobertaForMaskedLM", distilbert="DistilBertForMaskedLM")
LM["gpt2"] = "GPT2LMHeadModel"
LM |= {"modernbert": "ModernBertForMaskedLM", "modernbert-decoder": "ModernBertDecoderForCausalLM"}
LM["xlnet"] = "XLNetLMHeadModel"
PAD = 2  # an id that no drawn text holds


def _unrounded(module: ModuleType) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
    """Rotary positions and eager attention of a module of transformers, which in float64 do not round to float32.

    transformers rounds both on the way whatever the type, and parity in float64 is judged to 1e-9. In other types
    they are its own, untouched.
    """
    rotary, eager = module.apply_rotary_pos_emb, module.eager_attention_forward

    def rotated(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
        if query.dtype != torch.float64:
            return rotary(query, key, cos, sin, unsqueeze_dim=unsqueeze_dim)
        cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
        turn = module.rotate_half
        return query * cos + turn(query) * sin, key * cos + turn(key) * sin

    def attended(
        layer: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float,
        **rest: Any,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        if query.dtype != torch.float64:
            return eager(layer, query, key, value, attention_mask, scaling=scaling, **rest)
        scores = query @ key.transpose(2, 3) * scaling
        weights = (scores if attention_mask is None else scores + attention_mask).softmax(-1)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    return {"apply_rotary_pos_emb": rotated, "eager_attention_forward": attended}


for _module in (modeling_modernbert, modeling_modernbert_decoder):
    vars(_module).update(_unrounded(_module))


def reference(
    architecture: str, *, dtype: torch.dtype = torch.float64, attention: str = "eager", seed: int = 0, **fields: Any
) -> Any:
    """A random model of that class, in eval mode; `fields` change its configuration."""
    layout, _ = ARCHITECTURES[architecture]
    kind, sizes = CONFIGS[layout]
    fields = {"is_decoder": True, **fields} if architecture in CAUSAL else fields
    given = {"vocab_size": VOCABULARY, "num_labels": 3, "pad_token_id": PAD, **sizes, **fields}
    if "QuestionAnswering" in architecture:
        given["num_labels"] = 2
    if layout == "gpt2":
        given |= {"bos_token_id": 0, "eos_token_id": 0}
    if layout == "roberta":
        given["pad_token_id"] = 1  # decides where its positions start
    config = getattr(transformers, kind)(**given)
    config._attn_implementation = "eager" if layout == "xlnet" else attention  # it has no other
    model = getattr(transformers, architecture)(config).eval()
    randomize(model, seed)
    return model.to(dtype)


def run(model: Any, input_ids: Tensor, *, position_ids: Tensor | None = None, **inputs: Any) -> Any:
    """Call a reference with positions counted from 0, as ours are: RoBERTa's start at 2, some take none."""
    kind = model.config.model_type
    if position_ids is not None and kind not in ("distilbert", "xlnet"):
        inputs["position_ids"] = position_ids + (model.config.pad_token_id + 1 if kind == "roberta" else 0)
    return model(input_ids, output_hidden_states=True, **inputs)


def head_results(architecture: str, output: Any) -> Mapping[str, Tensor]:
    """By our names of the heads, what the reference's say."""
    found = {}
    for head, fields in ARCHITECTURES[architecture][1].items():
        tensors = [getattr(output, field) for field in fields.split()]
        found[head] = torch.stack(tensors, -1) if len(tensors) > 1 else tensors[0]
    return found


def saved(model: Any, folder: Path) -> Path:
    """The folder, holding the model as transformers writes it."""
    model.save_pretrained(folder)
    return folder
