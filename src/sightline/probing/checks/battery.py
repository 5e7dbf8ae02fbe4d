"""The battery: every check of an audit, in the order in which they run. Later ones read what earlier ones found."""

from __future__ import annotations

from sightline.probing.checks.attention import ROWS, rows_are_shares
from sightline.probing.checks.batch import MATE, a_padded_mate, alone_is_in_a_batch
from sightline.probing.checks.beginning import BEGINNING, beginning_is_the_same
from sightline.probing.checks.cache import (
    CHUNKS,
    MEMORY,
    STEPS,
    UNEQUAL,
    piece_by_piece,
    segment_by_segment,
    token_by_token,
    unequal_prompts,
)
from sightline.probing.checks.generation import WRITES, writing_ignores_padding
from sightline.probing.checks.kernels import KERNELS, kernels_agree
from sightline.probing.checks.labels import LABELS, labels_meet_outputs
from sightline.probing.checks.named import POSITIONS, TYPES, positions_matter, types_matter
from sightline.probing.checks.packed import PACKED, documents_are_apart
from sightline.probing.checks.padding import CONTENT, LEFT, RIGHT, content_is_inert, left_is_inert, right_is_inert
from sightline.probing.checks.plan import Function
from sightline.probing.checks.precision import HALF, within_its_rounding
from sightline.probing.checks.repeat import MODE, SAME, same_again, training_mode
from sightline.probing.checks.visibility import (
    ALONE,
    GRADIENT,
    LEAKS,
    PAST,
    hidden_are_unseen,
    hidden_have_no_gradient,
    shown_are_seen,
)
from sightline.probing.checks.weights import SAVED, TIED, saved_is_loaded, tied_is_one

CHECKS: tuple[tuple[str, Function], ...] = (
    (SAME, same_again),
    (MODE, training_mode),
    (ALONE, alone_is_in_a_batch),
    (LEAKS, hidden_are_unseen),
    (GRADIENT, hidden_have_no_gradient),
    (PAST, shown_are_seen),
    (BEGINNING, beginning_is_the_same),
    (MATE, a_padded_mate),
    (CONTENT, content_is_inert),
    (RIGHT, right_is_inert),
    (LEFT, left_is_inert),
    (STEPS, token_by_token),
    (CHUNKS, piece_by_piece),
    (UNEQUAL, unequal_prompts),
    (MEMORY, segment_by_segment),
    (PACKED, documents_are_apart),
    (KERNELS, kernels_agree),
    (ROWS, rows_are_shares),
    (TYPES, types_matter),
    (POSITIONS, positions_matter),
    (LABELS, labels_meet_outputs),
    (WRITES, writing_ignores_padding),
    (HALF, within_its_rounding),
    (SAVED, saved_is_loaded),
    (TIED, tied_is_one),
)
WHATEVER_IS_DRAWN = (SAME, MODE, TIED)  # what can be said of a model that draws at random
