"""The vector of a word in its sentence: the mean of the hidden states of its pieces.

    Peters et al. 2018, "Dissecting Contextual Word Embeddings: Architecture and Representation": a word's vector
    depends on its sentence, and differs from layer to layer.

Shapes: T tokens, P pieces of the word, W width.
"""

from __future__ import annotations

import torch

from sightline.errors import InputError
from sightline.model.model import Model
from sightline.tasks.embed import Vectors, reading_tokenizer
from sightline.text.occurrences import find_occurrence


def embed_word(model: Model, sentence: str, word: str, *, occurrence: int = 1, layer: int = -1) -> Vectors:
    """The vector of `word` in `sentence`: (width,), float32, or float64 from a float64 model.

    Every piece that the tokenizer makes of the word counts alike. Where a piece reaches beyond the word (byte-level BPE
    puts the space before a word into its first piece), it counts whole.

    word        as it is written there, standing on its own; it may be several words
    occurrence  which one, where it is there more than once, from 1
    layer       0 is before the first block, 1 after it, …; negative numbers count from the end

    Raises InputError for a word that is not there, with the nearest that are, and for a layer that there is not.

        embed_word(model, "She sat on the bank of the river.", "bank")
    """
    tokenizer = reading_tokenizer(model)
    given: dict[str, object] = {"sentence": sentence, "word": word}
    for name, value in given.items():
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{name} is {value!r:.40}; give some text")
    start, end = find_occurrence(sentence, word.strip(), occurrence)
    encoding = tokenizer(sentence)
    pieces = [
        token
        for token, ((begins, stops), text) in enumerate(zip(encoding.offsets[0], encoding.sequence_ids[0], strict=True))
        if text == 0 and begins < end and stops > start
    ]
    if not pieces:
        raise InputError(f"the tokenizer makes nothing of {word!r}, so it has no vector; choose another word")
    with torch.no_grad():
        states = model(**encoding, hidden_states=True).hidden_states or ()
    if not -len(states) <= layer < len(states):
        raise InputError(
            f"layer={layer} is none; this model has 0 (before the first block) to {len(states) - 1}, or -1"
        )
    vector = states[layer][0, pieces]  # (P, W)
    vector = (vector if vector.dtype == torch.float64 else vector.float()).mean(0)
    return vector.cpu().numpy()
