"""Layout: how one kind of Hugging Face checkpoint spells a network, its heads and its configuration.

A layout is data: one table of tensor names and one of config fields, both read both ways. `{layer}` in a name stands
for the number of a layer, `{base}` for the prefix that the network's own tensors carry beside a head ("bert.").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.errors import CheckpointError


@dataclass(frozen=True)
class Name:
    """One tensor of theirs, and what it is of ours.

    ours        one name, or several whose tensors lie side by side in theirs (GPT-2's fused query, key and value)
    transposed  theirs is stored (in, out)
    copies      further names under which theirs is written too, and read when the first is missing
    shape       theirs, where it has more sizes than ours: in ours all but the first lie side by side
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False
    copies: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    def for_layer(self, layer: int) -> Name:
        """The same name with the number of a layer filled in."""
        fill = str(layer)
        ours = tuple(name.replace("{layer}", fill) for name in self.ours)
        copies = tuple(name.replace("{layer}", fill) for name in self.copies)
        return replace(self, theirs=self.theirs.replace("{layer}", fill), ours=ours, copies=copies)

    def split(self, theirs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Our tensors, as views of theirs."""
        flat = theirs if self.shape is None else theirs.flatten(1)
        tensor = flat.t() if self.transposed and flat.dim() == 2 else flat
        return zip(self.ours, tensor.chunk(len(self.ours)), strict=True)

    def join(self, ours: Mapping[str, Tensor]) -> Tensor:
        """Their tensor from ours."""
        tensor = torch.cat([ours[name] for name in self.ours]) if len(self.ours) > 1 else ours[self.ours[0]]
        flat = tensor.t().contiguous() if self.transposed and tensor.dim() == 2 else tensor
        return flat if self.shape is None else flat.reshape(self.shape)


def pair(theirs: str, ours: str, *, transposed: bool = False) -> tuple[Name, Name]:
    """The weight and the bias of one layer: `pair("dense", "output")`."""
    weight = Name(f"{theirs}.weight", (f"{ours}.weight",), transposed)
    return weight, Name(f"{theirs}.bias", (f"{ours}.bias",))


@dataclass(frozen=True, kw_only=True)
class HeadLayout:
    """One head: its name here, its tensors there, and how to build it.

    markers        tensors whose presence tells that a file has this head
    unless         tensors whose presence tells that the markers are another head's
    architectures  the classes of transformers that have it; they decide where two heads share their markers
    build          from the configuration, the network, the heads already built and the number of labels, which is the
                   first marker's length
    """

    name: str
    names: Callable[[Any], tuple[Name, ...]]
    markers: tuple[str, ...]
    architectures: tuple[str, ...]
    build: Callable[[Any, nn.Module, Mapping[str, nn.Module], int], nn.Module]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One kind of checkpoint.

    model_type    what config.json calls it
    base          prefix of the network's own tensors beside a head
    names         the network's tensors; per_layer those of one layer, `{layer}` filled in
    heads         in the order in which they are built
    implied       heads that need no tensor of their own (a tied LM head without bias), given those that have some
    architecture  the class of transformers for a set of heads under a mask
    refused       classes of transformers whose heads nobody here computes
    fields        config.json's names → ours
    required      fields that must have one of these values, because nothing here computes the others
    inert         fields that change no result here
    adapted       fields that only `adapt` reads
    adapt         last changes between their fields and ours, both ways: (their config, ours) → ours; and back
    unsaid        fields that config.json must hold, and what they are where nothing says so
    poolings      of a classifier, as the field classifier_pooling of config.json spells them, where it has one
    settings      of a new network that differ from the family's defaults, given the id of its padding or None
    read_mask     the mask that config.json asks for, None: the layout's own; given its fields and our configuration
    mask_fields   config.json's fields that say which mask it is, of a layout whose own mask is bidirectional
    turns_causal  whether transformers looks back only where config.json says so
    two_streams   whether the network also takes queries that do not know what stands at their own places (XLNet)
    ignored       endings of tensors that are buffers or copies, not weights
    """

    model_type: str
    family: str
    base: str
    network: Callable[[Any], nn.Module]
    config: type
    mask: Mask
    names: Callable[[Any], tuple[Name, ...]]
    per_layer: Callable[[Any], tuple[Name, ...]]
    heads: tuple[HeadLayout, ...]
    architecture: Callable[[frozenset[str], Mask], str]
    fields: Mapping[str, str]
    implied: Callable[[Any, frozenset[str]], frozenset[str]] = lambda config, heads: frozenset()
    refused: tuple[str, ...] = ()
    required: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    inert: frozenset[str] = frozenset()
    adapted: frozenset[str] = frozenset()
    adapt_read: Callable[[Mapping[str, Any], dict[str, Any]], dict[str, Any]] = lambda theirs, ours: ours
    adapt_write: Callable[[Any, dict[str, Any]], dict[str, Any]] = lambda ours, theirs: theirs
    unsaid: Mapping[str, Any] = field(default_factory=dict)
    poolings: Mapping[str, str] = field(default_factory=dict)
    settings: Callable[[int | None], dict[str, Any]] = lambda pad: {}
    read_mask: Callable[[Mapping[str, Any], Any], Mask | None] = lambda theirs, ours: (
        Causal() if theirs.get("is_decoder") is True else None
    )
    mask_fields: Callable[[Mask], dict[str, Any]] = lambda mask: {"is_decoder": mask == Causal()}
    turns_causal: bool = False
    two_streams: bool = False
    ignored: tuple[str, ...] = ()

    def mask_of(self, config: Any) -> Mask:
        """The mask of a new network of this configuration."""
        return self.read_mask({}, config) or self.mask

    def expresses(self, mask: Mask, config: Any) -> bool:
        """Whether transformers, too, computes such a model under this mask."""
        return mask == self.mask_of(config) or (self.turns_causal and mask == Causal())

    def all_names(self, config: Any, heads: frozenset[str]) -> list[Name]:
        """Every tensor of a network with these heads."""
        layers = [name.for_layer(layer) for layer in range(config.layers) for name in self.per_layer(config)]
        of_heads = [name for head in self.heads if head.name in heads for name in head.names(config)]
        return [*self.names(config), *layers, *of_heads]

    def read_config(self, theirs: Mapping[str, Any]) -> tuple[Any, Mask, list[str]]:
        """Our configuration, the mask, and the names of fields that nobody here knows.

        Raises CheckpointError for a field whose value asks for something that Sightline does not compute.
        """
        for name, allowed in self.required.items():
            if name in theirs and theirs[name] not in allowed:
                raise CheckpointError(
                    f"config.json says {name}={theirs[name]!r}, which Sightline does not compute for"
                    f" {self.model_type!r} (only {' or '.join(repr(value) for value in allowed)})"
                )
        named = theirs.get("architectures")
        if named is not None and not isinstance(named, list):
            raise CheckpointError(
                f"config.json says architectures={named!r}, which must be a list of names; correct it"
            )
        for name in self.refused:
            if name in (named or ()):
                raise CheckpointError(
                    f"config.json names the architecture {name}, whose head Sightline does not have; take it out of"
                    " architectures, and allow_unused=True leaves its tensors out"
                )
        given = {ours: theirs[name] for name, ours in self.fields.items() if theirs.get(name) is not None}
        config = self.config(**self.adapt_read(theirs, given))
        known = {*self.fields, *self.adapted, *self.required, *self.inert, *ANYWHERE, *HONOURED}
        mask = self.read_mask(theirs, config) or self.mask
        if isinstance(theirs.get("sightline"), dict) and "mask" in theirs["sightline"]:
            mask = Mask.parse(str(theirs["sightline"]["mask"]))
        return config, mask, sorted(set(theirs) - known)

    def write_config(self, config: Any, mask: Mask, heads: frozenset[str]) -> dict[str, Any]:
        """config.json's own fields for this configuration."""
        ours = {f.name: getattr(config, f.name) for f in fields(config)}
        theirs: dict[str, Any] = {"model_type": self.model_type, "architectures": [self.architecture(heads, mask)]}
        theirs.update({name: ours[mine] for name, mine in self.fields.items() if mine in ours})
        if self.mask == Bidirectional():
            theirs.update(self.mask_fields(mask))
        said = mask == self.mask_of(config) or (self.mask == Bidirectional() and mask == Causal())
        ours_alone: dict[str, Any] = {} if said else {"mask": str(mask)}
        silent = frozenset(head.name for head in self.heads if head.name in heads and not head.names(config))
        if silent != self.implied(config, heads - silent):
            ours_alone["heads"] = sorted(silent)
        if ours_alone:
            theirs["sightline"] = ours_alone
        return self.adapt_write(config, theirs)

    def silent_heads(self, theirs: Mapping[str, Any], config: Any, found: frozenset[str]) -> frozenset[str]:
        """Heads that a checkpoint has without any tensor of their own: those that it names, or else what is usual."""
        stated = theirs["sightline"].get("heads") if isinstance(theirs.get("sightline"), dict) else None
        if not isinstance(stated, list):
            return self.implied(config, found)
        return frozenset(head.name for head in self.heads if head.name in stated and not head.names(config))


HONOURED = frozenset(
    "model_type architectures is_decoder id2label label2id num_labels problem_type dtype torch_dtype pad_token_id"
    " bos_token_id eos_token_id sep_token_id mask_token_id unk_token_id cls_token_id sightline".split()
)
"""Read outside a layout's own table, by whoever loads."""

ANYWHERE = frozenset(
    "transformers_version _name_or_path name_or_path use_cache output_hidden_states output_attentions return_dict"
    " torchscript use_bfloat16 gradient_checkpointing finetuning_task task_specific_params tokenizer_class prefix"
    " language _num_labels xla_device chunk_size_feed_forward output_past remove_invalid_values"
    " attn_implementation _attn_implementation _attn_implementation_autoset is_composition tf_legacy_loss"
    " directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type"
    " do_sample max_length min_length num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p"
    " repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids"
    " num_return_sequences early_stopping decoder_start_token_id forced_bos_token_id forced_eos_token_id"
    " begin_suppress_tokens suppress_tokens exponential_decay_length_penalty output_scores return_dict_in_generate"
    " cross_attention_hidden_size model_max_length".split()
)
"""Inert wherever they stand: bookkeeping, and settings of generation and training that are arguments here."""
