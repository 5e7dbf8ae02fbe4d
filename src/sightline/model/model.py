"""Model: the one interface to every family.

    import sightline as sl
    model = sl.load("bert-base-uncased")
    out = model(**model.tokenizer(["two texts", "at once"]))
    out.last_hidden_state                   # (B, T, W)
    model.logits(out.last_hidden_state)     # (B, T, V)
    model.with_mask(sl.Causal())            # the same weights, another sight

Shapes: B batch, T tokens, Q queries, K keys, W width, V vocabulary.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sightline.core.cache_protocol import FORGETFUL, StackCache
from sightline.core.mask import Mask
from sightline.core.sight import Sight
from sightline.core.taps import record
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.door import check_allowed, check_final, check_order, check_tokens, coordinates_of
from sightline.model.output import Output
from sightline.model.targets import two_streams
from sightline.networks.heads import Pick, place
from sightline.text.tokenizer import Tokenizer
from sightline.weights.layout import Layout
from sightline.weights.sentence_transformers import EmbeddingDefaults

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")


class Model(nn.Module):
    """A network, its heads and its tokenizer. Made by `load` and `build`.

    network       the family's own module
    heads         what can be asked of it, by name: lm, pooler, next_sentence, classifier, tagger, span
    mask          who may attend to whom
    trained_masks those that the weights were trained under: one, or several of a hybrid (Charpentier and Samuel 2024,
                  "GPT or BERT: why not both?", section 2); `trained_mask` is the first
    shifted       whether a blank is answered at the token before it, where a causal model would answer, too
    tokenizer     None where the model came without one
    labels        names of the classes that the classifier or tagger tells apart, where they have any
    problem_type  what the classifier's outputs are, in transformers' words: "regression" (a number), one of several
                  classes, any of several; None where nothing says so: one of several classes
    embedding     how its makers turn rows into vectors (sentence-transformers folders say so), or None
    long          what becomes of texts that are too long when rows are classified, as the head was taught: "cut" or
                  "windows"
    new_tensors   tensors that no checkpoint filled: they are random
    """

    def __init__(
        self,
        network: nn.Module,
        heads: nn.ModuleDict,
        layout: Layout,
        config: Any,
        mask: Mask,
        *,
        tokenizer: Tokenizer | None = None,
        labels: tuple[str, ...] | None = None,
        problem_type: str | None = None,
        embedding: EmbeddingDefaults | None = None,
        long: Literal["cut", "windows"] = "cut",
        stored_config: dict[str, Any] | None = None,
        new_tensors: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.network, self.heads = network, heads
        self.layout = layout
        self.network.config = config
        self.mask = mask
        self.trained_masks: tuple[Mask, ...] = (mask,)
        self.shifted = False
        self.tokenizer, self.labels, self.embedding = tokenizer, labels, embedding
        self.problem_type, self.long = problem_type, long
        self.stored_config = stored_config or {}
        self.new_tensors = new_tensors

    @property
    def config(self) -> Any:
        """The network's sizes and choices; views on the same weights share it."""
        return self.network.config

    @property
    def family(self) -> str:
        """Which network this is."""
        return self.layout.family

    @property
    def trained_mask(self) -> Mask:
        """The mask that the weights were trained under, or the first of several."""
        return self.trained_masks[0]

    @property
    def regression(self) -> bool:
        """Whether the classifier gives a number, where others give logits of classes."""
        return self.problem_type == "regression" and "classifier" in self.heads

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return next(self.parameters()).dtype

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        allowed: Tensor | None = None,
        ranks: Tensor | None = None,
        documents: Tensor | None = None,
        cache: StackCache | None = None,
        hidden_states: bool = False,
        attentions: bool = False,
        kernel: str = "auto",
        only: Pick | Tensor | None = None,
        targets: Tensor | None = None,
        target_mapping: Tensor | None = None,
        perm_mask: Tensor | None = None,
    ) -> Output:
        """Hidden states of every token.

        input_ids        (B, T); or inputs_embeds (B, T, W) in their place
        attention_mask   (B, T), 1 real and 0 padding, on either side; default: nothing is padded
        token_type_ids   (B, T), for networks that have token types
        position_ids     (B, T), from 0 in every family (transformers' RoBERTa counts from 2); default: index minus
                         leading padding
        allowed          bool (B, T, K), True where attention is allowed; and-ed to the mask
        ranks            (B, T), places in an order, for a Permuted mask
        documents        (B, T), which of several packed texts a token belongs to
        cache            a KeyValueCache or Memory; it answers for earlier tokens and remembers these
        hidden_states    whether the result has them for every layer; likewise attentions. With targets they are of all
                         that ask, the tokens first
        kernel           "auto", "reference", "sdpa" or "flex"
        only             "first" or "last": each row's first or last real token is all that is wanted, (B, 1, W), which
                         saves most of the last layer; heads say what they read (`SequenceHead.reads`). Or int64 (B, N):
                         which tokens of each row are wanted, (B, N, W)
        targets          (B, K), positions that are asked about without knowing what stands there, for networks of two
                         streams (XLNet): then the result is theirs, (B, K, W). target_mapping (B, K, T) says the same
                         in transformers' way, 1 at the token that is asked
        perm_mask        (B, T, T), in transformers' way: 1 where a token may not see another

        Raises InputError for ids outside the vocabulary, more tokens than positions, and shapes that do not agree.
        """
        memory = FORGETFUL if cache is None else cache
        tokens = check_tokens(input_ids, inputs_embeds, self.config.vocabulary, self.config.width)
        at = coordinates_of(tokens, attention_mask, token_type_ids, position_ids, ranks, documents, memory, self.config)
        if allowed is None:
            check_final(at, self.mask, memory)
            if position_ids is not None:
                check_order(at, self.mask, memory.coordinates)
        queries, allowed = at, None if allowed is None else check_allowed(allowed, len(tokens))
        if not (targets is None and target_mapping is None and perm_mask is None):
            self._check_streams(None if targets is None and target_mapping is None else only)
            queries, allowed = two_streams(
                at,
                memory.ahead,
                rows=len(tokens),
                targets=targets,
                target_mapping=target_mapping,
                perm_mask=perm_mask,
                allowed=allowed,
            )
        asking = queries is not at
        at = at.to(self.device)
        wanted = only.to(self.device) if isinstance(only, Tensor) else None
        if isinstance(only, str):
            wanted = place(at, only)[:, None]
        if asking and not (hidden_states or attentions):  # which are of all queries
            wanted = torch.arange(at.tokens, queries.tokens, device=self.device)[None]
        sight = Sight(
            self.mask,
            queries.to(self.device) if asking else at,
            memory.announce(at, self.network, self.mask),
            allowed=None if allowed is None else allowed.to(self.device),
            kernel=kernel,
            wanted=None if wanted is None else wanted.expand(len(tokens), -1),
        )
        read = ["*.input"] * hidden_states + ["*.attention.weights"] * attentions
        with ExitStack() as taps:
            seen = taps.enter_context(record(self.network, *read)) if read else {}
            last = self.network(
                tokens.to(self.device, self.dtype if tokens.is_floating_point() else None), sight, memory
            )
        answers = sight.last.queries
        if asking and wanted is None:
            last, answers = last[:, at.tokens :], answers.slice(at.tokens, answers.tokens)
        given = [value for name, value in seen.items() if name.endswith(".input")]
        return Output(
            last_hidden_state=last,
            coordinates=answers,
            hidden_states=(*given, last) if hidden_states else None,
            attentions=tuple(value for name, value in seen.items() if name.endswith(".weights"))
            if attentions
            else None,
            cache=cache,
        )

    def _check_streams(self, only: Pick | Tensor | None) -> None:
        if not self.layout.two_streams:
            raise UnsupportedError(
                f"this {self.layout.model_type} has one stream, which knows the tokens that it reads: targets,"
                " target_mapping and perm_mask are for XLNet; pass allowed= for who may see whom"
            )
        if only is not None:
            raise ConfigError(f"only={only!r} and targets both say what is wanted; pass one of them")

    def head(self, name: str) -> nn.Module:
        """The head of that name, called with hidden states and their coordinates; UnsupportedError where there is none.

        model.head("classifier")(out.last_hidden_state, out.coordinates)
        """
        if name not in self.heads:
            has = ", ".join(self.heads) or "none"
            raise UnsupportedError(f"this {self.layout.model_type} has no head {name!r}; its heads: {has}")
        return self.heads[name]

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary: (B, T, W) → (B, T, V)."""
        return self.head("lm")(hidden)

    def with_mask(self, mask: Mask) -> Model:
        """A view on the same weights that looks through another mask. Changing one's weights changes both's.

        >>> causal_bert = model.with_mask(Causal())  # doctest: +SKIP
        """
        if not isinstance(mask, Mask):
            raise ConfigError(f"{mask!r} is no mask; pass one such as Causal(), or Mask.parse('causal') for its text")
        view = self.view()
        view.mask = mask
        return view

    def view(self) -> Model:
        """Another model on the same weights, with heads, mask and hooks of its own from here on."""
        view = copy.copy(self)
        vars(view).update((name, copy.copy(held)) for name, held in vars(self).items() if isinstance(held, dict))
        return view

    def resize_token_embeddings(self, vocabulary: int) -> None:
        """Give the network `vocabulary` tokens: new ones start as the mean of those there were, old ones stay.

        A tied LM head follows; the head's own matrix and bias are resized alike.
        """
        from sightline.model.resize import resize_vocabulary

        resize_vocabulary(self, vocabulary)

    def save(self, folder: str | Path) -> Path:
        """Write the model, its tokenizer and its configuration in the Hugging Face layout; returns the folder."""
        from sightline.model.save import save

        return save(self, Path(folder))

    def extra_repr(self) -> str:
        """What `repr` says before the modules."""
        under = f"mask={self.mask}"
        masks = " and ".join(map(str, self.trained_masks))
        trained = "" if self.trained_masks == (self.mask,) else f", trained under {masks}"
        return f"{self.layout.model_type}, {under}{trained}, heads={', '.join(self.heads) or 'none'}"


def tokenizer_of(model: Model) -> Tokenizer:
    """The model's tokenizer; UnsupportedError where it came without one."""
    if model.tokenizer is None:
        raise UnsupportedError(
            "this model came without a tokenizer, so it cannot read text; put the tokenizer.json that belongs to it"
            " into its folder (from Python, set model.tokenizer, or give token ids to what takes them)"
        )
    return model.tokenizer
