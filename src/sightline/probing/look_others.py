"""Looking at a model that is not ours, from outside: who depends on whom, and the likeliest words at each place.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError
from sightline.probing.dependence import Dependence
from sightline.probing.lens import NEXT, READ, Lens
from sightline.probing.look import Look, spelled
from sightline.probing.probe import probe
from sightline.probing.subject import Inputs, Subject, special_ids, subject
from sightline.probing.texts import ids_of, texts_of
from sightline.probing.tokens import MOST, Tokens
from sightline.probing.untouched import untouched

OUTSIDE = "this is no model of Sightline's, and only what can be seen from outside is shown; sightline.load opens those"


def _tokens(made: Subject, ids: Tensor) -> Tokens:
    """What the model reads, as its tokenizer spells it."""
    known = special_ids(made.tokenizer)
    mask = getattr(made.tokenizer, "mask_token_id", None)
    listed = tuple(ids[0].tolist())
    return Tokens(
        ids=listed,
        texts=texts_of(made, listed),
        special=tuple(token in known for token in listed),
        blanks=tuple(place for place, token in enumerate(listed) if token == mask),
    )


def _outputs(made: Subject, ids: Tensor, inputs: Inputs) -> Tensor:
    """What the model gives in eval mode, (T, …)."""
    with untouched(made.module), torch.no_grad():
        if made.module is not None:
            made.module.eval()
        return made.call(ids, inputs)[0].float().cpu()


def _expects(outputs: Tensor, vocabulary: int, tokens: Tokens, found: Dependence, top_k: int) -> Lens | None:
    """The likeliest words at each place; None where the model gives no numbers for words.

    A model whose outputs know of nothing behind them is taken to say what comes next.
    """
    if outputs.dim() != 2 or outputs.shape[1] != vocabulary:
        return None
    place = torch.tensor(found.outputs)[:, None]
    ahead = bool((found.visible & (torch.arange(len(tokens))[None] > place)).any())
    own = [-1 if at in tokens.blanks else token for at, token in enumerate(tokens.ids)]
    truth = torch.tensor(own if ahead else [*tokens.ids[1:], -1])
    shares = outputs.softmax(-1)
    best = shares.topk(min(top_k, vocabulary), dim=-1)
    of_truth = torch.where(truth >= 0, shares.gather(1, truth.clamp(min=0)[:, None])[:, 0], 0.0)
    return Lens(
        asks=READ if ahead else NEXT,
        places=tuple(range(len(tokens))),
        words=best.indices[None],
        probabilities=best.values[None],
        truth=truth,
        of_truth=of_truth[None],
    )


def look_at_other(
    model: object,
    text: str | Sequence[int] | Tensor,
    *,
    name: str | None,
    top_k: int,
    seed: int,
    vocabulary: int | None,
    tokenizer: Any,
) -> Look:
    """See `look`."""
    made = subject(model, vocabulary=vocabulary, tokenizer=tokenizer)
    ids, told = ids_of(made, text)
    if ids.shape[1] > MOST:
        raise InputError(f"the text has {ids.shape[1]} tokens; a page shows at most {MOST}: look at a part of it")
    made.check(ids, told)
    tokens = _tokens(made, ids)
    found = probe(made, ids, inputs=told, seed=seed)
    outputs = _outputs(made, ids, told)
    expects = _expects(outputs, made.vocabulary, tokens, found, top_k)
    left_out = dict.fromkeys(("heads", "lens", "written", "replaced"), OUTSIDE)
    if expects is None:
        shape = ", ".join(map(str, outputs.shape))
        left_out["expected"] = (
            f"its outputs ({shape}) are no numbers for each of {made.vocabulary:,} words at each place"
        )
    return Look(
        name=name or made.name,
        about=f"Measured from outside: {found.verdict()}.",
        facts=(("tokens", str(len(tokens))), ("words it knows", f"{made.vocabulary:,}")),
        text=text if isinstance(text, str) else " ".join(tokens.texts),
        tokens=tokens,
        seen=(("measured through the whole model", found.matrix()),),
        spelled=spelled(lambda token: texts_of(made, (token,))[0], tokens, [] if expects is None else [expects]),
        left_out=left_out,
        expects=expects,
    )
