"""Tiny random models of transformers, one of every type of causal language model that its config alone can build.

Nothing here knows a model: a configuration's numbers are made small by their names, and what does not build so is left
out, with the error as the reason.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

TYPES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
VOCABULARY, LAYERS, HEADS, GROUPS, HEAD_WIDTH = 64, 2, 4, 2, 8
WIDTH, INNER = HEADS * HEAD_WIDTH, 48
WEIGHT = 0.15  # standard deviation of matrices: large enough that each of them shows in the result

RULES: tuple[tuple[str, int], ...] = (  # the first that is found in a name decides
    (r"(token_id|_id|_idx|token_index)$", -1),  # a special token: small, and not one that is drawn
    (r"vocab_size|vocabulary_size|n_vocab", VOCABULARY),
    (r"(num|n)_(hash|lsh)", 1),
    (r"sliding_window|attention_window|local_attention$|window_size|attn_window", 9),
    (r"chunk_size|chunk_length|block_size|mamba_chunk|attention_chunk", 8),
    (r"max_position|n_positions|n_ctx|max_seq|seq_len|context_length|max_source|max_target", 128),
    (r"conv_kernel|d_conv|conv_l_cache|linear_conv_kernel|short_conv|conv1d_width|n_conv", 4),
    (r"first_k_dense|first_dense|num_dense_layers", 1),
    (r"index_topk", 16),
    (r"experts_per_tok|top_k|topk$|moe_k|num_selected|num_experts_per|moe_topk|router_top", 2),
    (r"n_shared_experts|num_shared|shared_experts$", 1),
    (r"n_group|topk_group|num_expert_group|expert_groups", 1),
    (r"(num|n)_(local_|routed_)?experts|num_routed|experts_num|num_experts$|expert_num", 4),
    (r"(kv|key_value)_heads|num_kv|n_kv|num_key_value|multi_query_group|kv_n_heads", GROUPS),
    (r"mamba_(n|num)_heads|mamba_num_heads", 8),
    (r"linear_num_(key|value)_heads|linear_(key|value)_heads", 2),
    (r"num_heads|n_heads?$|attention_heads|num_attention_heads|n_head|_heads$|index_n_heads", HEADS),
    (r"(num|n)_?(hidden_|encoder_|decoder_)?layers?$|n_layer$|num_layers|depth|_layers$", LAYERS),
    (r"partial_rotary|interval|every|period|freq|pattern", 2),
    (r"qk_rope_head_dim|rope_dim|rotary_dim|rotary_ndims|index_head_dim", HEAD_WIDTH),
    (r"mamba_(d_)?head|mamba_head_dim", 8),
    (r"head_dim|head_width|d_head|d_kv|kv_channels|head_size|qk_nope|v_head", HEAD_WIDTH),
    (r"state_size|d_state|ssm_state|state_dim", 8),
    (r"dt_rank|time_step_rank", 4),
    (r"n_groups|mamba_n_groups", 1),
    (r"lora_rank|_rank$", 8),
    (r"moe_intermediate|expert_ffn|ffn_hidden|intermediate|ffn_dim|d_ff|inner|n_inner|dff|feed_forward|ffn", INNER),
    (
        r"lru_width|hidden_size|d_model|n_embd|embed_dim|model_dim|^dim$|hidden_dim|d_embed|embedding_size|_width$|emb_dim",
        WIDTH,
    ),
    (r"expand|expansion", 2),
)
CAUSAL = {"is_decoder": True, "use_cache": True, "causal": True, "is_encoder_decoder": False}
"""What configurations of encoders say when they shall read from left to right."""
UNTOUCHED = {"model_type", "architectures", "transformers_version", "dtype", "torch_dtype", "_name_or_path"}
REASONS = {
    "xlnet": "it reads both sides unless an order is given (perm_mask), as its paper means it",
    "cpmant": "its forward calls every token that it is given context, and context sees both sides",
    "prophetnet": "its predicting streams take the scores of relative positions from (positions, heads) as if they were"
    " (heads, positions), so other positions' are taken; `permute(0, 1, 4, 2, 3)` in its"
    " `get_predict_relative_pos_embeddings` ends it",
    "xlm": "its configuration says causal=False unless told otherwise",
}
"""Type → the reason why a later token may be seen."""
LARGE = 64  # a whole number that no rule knows is left as it is up to here


def _small(name: str, value: Any) -> Any:
    """The value of a field, made small by its name."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        return value
    if isinstance(value, list | tuple):
        if not value or not all(isinstance(each, int) and not isinstance(each, bool) for each in value):
            return value
        return [_small(name, each) for each in value]
    for pattern, small in RULES:
        if re.search(pattern, name):
            return 1 if small == -1 else min(value, small) if value > 0 else value
    return value if value <= LARGE else WIDTH


def _shortened(kinds: list[Any]) -> list[Any]:
    """Of the layers' kinds as many as it takes to see each once, at least two."""
    found = list(dict.fromkeys(kinds))
    return found if len(found) >= LAYERS else kinds[:LAYERS]


def shrunk(config: Any) -> dict[str, Any]:
    """The fields of a configuration, small; of one within it likewise."""
    fields: dict[str, Any] = {}
    kinds = 0
    for name, value in config.to_dict().items():
        if value is None or name in (
            "model_type",
            "architectures",
            "transformers_version",
            "dtype",
            "torch_dtype",
            "_name_or_path",
        ):
            continue
        inside = getattr(config, name, None)
        if name.endswith("_config") and callable(getattr(inside, "to_dict", None)):
            fields[name] = shrunk(inside)
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value) and "layer" in name:
            fields[name] = _shortened(value)
            kinds = len(fields[name])
        elif name in CAUSAL:
            fields[name] = CAUSAL[name]
        else:
            fields[name] = _small(name, value)
    return _agreeing(config, fields, kinds)


def _agreeing(config: Any, fields: dict[str, Any], kinds: int) -> dict[str, Any]:
    """Fields that depend on each other, put in agreement as they were before."""
    queries, keys = (getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads"))
    if queries is not None and queries == keys and "num_attention_heads" in fields:
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    if kinds:
        for name in fields:
            if re.search(r"^(num_hidden_layers|num_layers|n_layers?|n_layer)$", name):
                fields[name] = kinds
    return fields


def tiny(kind: str, seed: int = 0, **settings: Any) -> nn.Module:
    """A tiny random model of that type, in eval mode; whatever its library raises where it cannot be built so."""
    made = CONFIG_MAPPING[kind]
    fields = {**shrunk(made()), **settings}
    if "is_decoder" in vars(made()) or kind in ("bert",):
        fields.setdefault("is_decoder", True)
    config = made(**fields)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    return grown(model).eval()


@torch.no_grad()
def grown(model: nn.Module) -> nn.Module:
    """Matrices that begin small and random grow until each of them shows in the result; all else stays."""
    for weight in model.parameters():
        spread = float(weight.std()) if weight.numel() > 1 else 0.0
        if weight.dim() >= 2 and 0 < spread < WEIGHT and abs(float(weight.mean())) < spread:
            weight.mul_(WEIGHT / spread)
    return model
