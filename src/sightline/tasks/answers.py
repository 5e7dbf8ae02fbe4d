"""What a head for rows says of encoded texts: probabilities of classes, or numbers.

Shapes: N texts, R rows (texts, or windows of long ones), L classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import torch
from numpy.typing import NDArray

from sightline.errors import UnsupportedError
from sightline.model.heads import check_pooling, sequence_head
from sightline.model.model import Model, tokenizer_of
from sightline.tasks.encode import Encoded, inputs_of, usual_batch_tokens
from sightline.text.batches import by_length
from sightline.text.windows import Row

Numbers = NDArray[numpy.float64]


def check_classifier(model: Model) -> None:
    """UnsupportedError for a model that cannot classify as it is."""
    tokenizer_of(model)
    if "classifier" not in model.heads:
        raise UnsupportedError(
            f"this {model.layout.model_type} has no head that classifies (it has: {', '.join(model.heads) or 'none'});"
            " `sightline tune` teaches one, or with_classifier and finetune in Python"
        )
    head = sequence_head(model.heads["classifier"])
    check_pooling(head.pooling, model.mask, model.config.positions)
    if model.regression and head.output.out_features != 1:
        raise UnsupportedError(f"this regression head gives {head.output.out_features} numbers a row; only one is read")
    if any(module.training for module in model.modules()):
        raise UnsupportedError("the model is in training mode, where dropout makes answers random; call model.eval()")


def labels_of(model: Model) -> tuple[str, ...] | None:
    """Names of the model's classes, LABEL_0, LABEL_1, … where it names none; None for numbers."""
    if model.regression:
        return None
    count = sequence_head(model.heads["classifier"]).output.out_features
    return model.labels or tuple(f"LABEL_{index}" for index in range(count))


@torch.no_grad()  # not inference_mode: its tensors may enter no later computation, and packed weights outlive this one
def row_logits(model: Model, rows: Sequence[Row], batch_tokens: int | None = None) -> Numbers:
    """What the head says of each row: (R, L)."""
    head = sequence_head(model.heads["classifier"])
    logits = numpy.empty((len(rows), head.output.out_features))
    filler = tokenizer_of(model).special.pad_id or 0
    for batch in by_length([len(row.ids) for row in rows], batch_tokens or usual_batch_tokens(model.device)):
        out = model(**inputs_of([rows[index] for index in batch], filler), only=head.reads)
        logits[batch] = head(out.last_hidden_state, out.coordinates).cpu().double().numpy()
    return logits


def _log_softmax(logits: Numbers) -> Numbers:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(-1, keepdims=True))


def answers(model: Model, encoded: Encoded, batch_tokens: int | None = None) -> Numbers:
    """What the model says of encoded texts: (N, L) probabilities, or (N,) values."""
    logits = row_logits(model, encoded.rows, batch_tokens)
    if model.regression:
        return encoded.of_texts(logits)[:, 0]
    if model.problem_type == "multi_label_classification" or logits.shape[1] == 1:  # each class for itself
        return numpy.exp(-numpy.logaddexp(0, -encoded.of_texts(logits)))
    return numpy.exp(_log_softmax(encoded.of_texts(_log_softmax(logits))))
