"""Causes: the likely bug class behind a failed check, told from which checks failed, where, and how strongly.

A cause is a guess, and says so: a check fails by what was measured, never by its cause.
"""

from __future__ import annotations

from typing import Final

# Who sees whom

NO_MASK: Final = "no mask is applied: every position sees all others"
NEXT_SEEN: Final = (
    "every position also sees what comes right after it: a mask that is off by one, a convolution that is padded on"
    " both sides, or a shift in the wrong direction (a text of 32 tokens or more tells)"
)
OFF_BY_ONE: Final = "the mask is off by one: every position also sees the next one"
INVERTED: Final = "the boolean mask is inverted: what should be hidden is seen, and what should be seen is hidden"
ONE_CELL: Final = "the mask lets one token through to positions that should not see it"
BEYOND_LENGTH: Final = "the mask ends too early: beyond so many tokens nothing is hidden"
FUTURE_HIDDEN: Final = "the mask hides too much: nothing reaches an earlier position, where it should"
NO_PAST: Final = "nothing is mixed: no position depends on any other"
TOO_WIDE: Final = "the window is too wide: positions see further back than it reaches"
SOME_LEAK: Final = "the mask lets some positions see what it should hide"
WHEN_PADDED: Final = "the mask is replaced by the padding mask, for the whole batch, as soon as one row is padded"
ONE_KERNEL: Final = "the mask is honoured on one attention kernel and not on another"
KERNELS_DIFFER: Final = "attention kernels are given different masks, scales or biases"
ONE_TYPE: Final = "the mask is honoured in one type of numbers and not in another"
DOCUMENTS_VISIBLE: Final = "documents that are packed into one row see each other: the mask does not part them"
ASKED_PATH: Final = "asking for attention weights takes another path, with another mask or none"
ROWS_WRONG: Final = "attention weights are not a distribution over those who may be seen"

# What mixes beside attention

BOTH_SIDES: Final = "a convolution is padded on both sides, so that it reaches ahead"
WRONG_DIRECTION: Final = "tokens are shifted in the wrong direction: each position reads from those after it"
LENGTH: Final = "how long the text is changes what came before: a scale by its length, positions counted from its end"
OVER_TIME: Final = "a statistic over the whole text (a normalisation or mean over time) reaches every position"
ROUTING: Final = (
    "a choice over the whole sequence (top-k of the tokens, as where experts choose) reaches every position"
)
BATCH_STATISTICS: Final = (
    "statistics of the batch: what stands in other rows changes a row (as BatchNorm in training does)"
)

# Padding and positions

PADDING_ATTENDED: Final = "padding is attended to: the attention mask is ignored"
POSITIONS_COUNT_PADDING: Final = (
    "positions count the padding on the left: pass position_ids, attention_mask.cumsum(-1) - 1, or derive them"
)
PADDING_COUNTS: Final = "padding counts in something other than attention: a position, a statistic, a convolution"
NOT_A_NUMBER: Final = "a softmax over nobody: a position that may see nobody becomes NaN, and NaN spreads"
POSITIONS_IGNORED: Final = "position_ids are ignored"
POSITIONS_DEFAULT: Final = "without position_ids, positions are not 0, 1, 2, …"
TYPES_IGNORED: Final = "token_type_ids are ignored"
TYPES_DEFAULT: Final = "token types of 0 are not the same as none: their vector is added only when they are given"

# Caches

TOP_LEFT: Final = "with a cache, the causal mask is aligned to the top left: new tokens see only the first ones"
WITH_CACHE: Final = "with a cache, new tokens are not masked from each other"
CACHE_POSITIONS: Final = (
    "with a cache, the positions of new tokens are wrong: they begin again, or do not count the cache"
)
CACHE_FORGETS_PADDING: Final = "the cache forgets what was padding, and later tokens attend to it"
SEGMENTS_REVERSED: Final = "earlier segments are remembered in the wrong order"
OVERWRITTEN: Final = "a full cache overwrites what the tokens of the same call still have to read"
CACHE_PIECES: Final = "with a cache, several new tokens at once are not read as one after another are"
CACHE_WRONG: Final = "what is remembered is not what is computed without a cache"
MASK_DROPPED: Final = "generation drops the attention mask"

# Everything else

DROPOUT: Final = "something is drawn at random in eval mode: dropout without training=self.training"
KEPT: Final = (
    "something is kept from one call to the next and changes it: a counter, a mask, a cache that is not emptied"
)
TRAINING_MODE: Final = "the model is in training mode: call model.eval()"
LABELS_TWICE: Final = "labels are shifted twice: outputs are compared with the token after the next"
LABELS_WRONG: Final = "labels are shifted in the wrong direction"
LABELS_SEEN: Final = "outputs are compared with a token that they see"
NOT_TIED: Final = "weights that should be one tensor are two equal copies: training will part them"
NOT_SAVED: Final = "weights are held where torch does not know them (a plain list or attribute), and are not saved"
SAVED_WRONG: Final = "what is saved is not all that decides the outputs"
HALF_PRECISION: Final = (
    "something is computed in bfloat16 that needs more digits: a position, a sum, a mask's large number"
)
