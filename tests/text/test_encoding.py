"""Padding, cutting and what is known of each token, against written-out definitions and the library's own cutting."""

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.text.encoding import kept_by_longest_first, pad, real_tokens
from sightline.text.tokenizer import Tokenizer

RAGGED = st.lists(st.lists(st.integers(0, 50_000), min_size=1, max_size=9), min_size=1, max_size=5)


@given(RAGGED, st.integers(0, 3), st.sampled_from(["left", "right"]))
def test_padding_keeps_rows_and_fills_the_side_that_is_asked_for(rows: list[list[int]], more: int, side: str) -> None:
    width = max(map(len, rows)) + more
    table, real = pad(rows, width, 7, side), real_tokens([len(row) for row in rows], width, side)
    assert table.dtype == real.dtype == torch.int64
    for line, mask, row in zip(table.tolist(), real.tolist(), rows, strict=True):
        filler = [7] * (width - len(row))
        assert line == (row + filler if side == "right" else filler + row)
        assert [id for id, flag in zip(line, mask, strict=True) if flag] == row


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 30))
def test_longest_first_keeps_what_the_library_keeps(first: int, second: int, limit: int) -> None:
    pair = ("a " * first, "b " * second)
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "[CLS]": 2, "[SEP]": 3}))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    whole = backend.encode(*pair)
    if limit <= 3:
        assert kept_by_longest_first(whole.sequence_ids, limit) is None
        return
    backend.enable_truncation(limit)
    kept = kept_by_longest_first(whole.sequence_ids, limit)
    assert [whole.ids[token] for token in kept] == backend.encode(*pair).ids


def test_columns_follow_padding_and_cutting(wordpiece: Tokenizer) -> None:
    texts = ["The quick brown fox", "dog"]
    right = wordpiece(texts, max_length=5, truncation=True)
    left = wordpiece(texts, max_length=5, truncation=True, padding_side="left")
    assert right.real == left.real == (5, 3)
    assert right.input_ids[0].tolist() == left.input_ids[0].tolist()
    assert right.input_ids[0, -1] == wordpiece.special.sep_id
    for encoding, real in ((right, slice(0, 3)), (left, slice(2, 5))):
        assert encoding.attention_mask[1, real].tolist() == [1, 1, 1]
        assert encoding.attention_mask.sum() == 8
        assert encoding.special[1].tolist() == [column != real.start + 1 for column in range(5)]
        assert encoding.offsets[1][real] == [(0, 0), (0, 3), (0, 0)]
        assert encoding.word_ids[1][real] == encoding.sequence_ids[1][real] == [None, 0, None]
        padding = [column for column in range(5) if not real.start <= column < real.stop]
        assert all(encoding.offsets[1][column] == (0, 0) for column in padding)
        assert all(encoding.word_ids[1][column] is None for column in padding)
        assert all(encoding.input_ids[1, column] == wordpiece.special.pad_id for column in padding)


def test_an_encoding_is_what_a_model_is_called_with(wordpiece: Tokenizer) -> None:
    encoding = wordpiece(["one", "two texts"])
    assert {**encoding} == dict(encoding.items())
    assert list(encoding) == ["input_ids", "token_type_ids", "attention_mask"]
    assert len(encoding) == 3 and "labels" not in encoding
    assert "2 rows" in repr(encoding)
    moved = encoding.to("meta")
    assert {tensor.device.type for tensor in moved.values()} == {"meta"}
    assert moved.real == encoding.real and moved.offsets == encoding.offsets
    assert encoding.input_ids.device.type == "cpu"


def test_offsets_of_an_outgrown_encoding_are_refused(bytelevel: Tokenizer) -> None:
    backend = tokenizers.Tokenizer.from_str(bytelevel.backend.to_str())
    tokenizer = Tokenizer(backend, names=bytelevel.special.names, makes_types=False)
    encoding = tokenizer("a word that grows together")
    assert tokenizer.add_tokens("grows together") == 1
    with pytest.raises(InputError, match="encode the texts again"):
        _ = encoding.offsets
