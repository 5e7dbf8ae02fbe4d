"""The tokenizer of a model: text to ids and back, on the `tokenizers` library.

Padding and cutting are done here, on the rows of one call: the library keeps both as settings of the tokenizer itself,
where one caller's choice silently cuts another's text.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Literal

import tokenizers
import torch
from tokenizers import AddedToken, models

from sightline.errors import InputError
from sightline.text.encoding import Encoding, Side, kept_by_longest_first, pad, real_tokens
from sightline.text.rows import as_rows, check_texts, check_unicode
from sightline.text.sentencepiece_exact import SentencePieceSource
from sightline.text.special import special_tokens
from sightline.text.stream import DecodeStream

Kind = Literal["wordpiece", "bytelevel-bpe", "bpe", "unigram", "wordlevel"]


def _kind(backend: tokenizers.Tokenizer) -> Kind:
    model = backend.model
    if isinstance(model, models.WordPiece):
        return "wordpiece"
    if isinstance(model, models.BPE):
        # Through its state, because the step may stand inside a sequence of steps.
        decoder = backend.decoder
        return "bytelevel-bpe" if decoder is not None and b"ByteLevel" in decoder.__getstate__() else "bpe"
    return "unigram" if isinstance(model, models.Unigram) else "wordlevel"


class Tokenizer:
    """Turns text into the tensors a model takes, and ids into text. `sightline.load(…).tokenizer` is one.

    >>> encoding = model.tokenizer(["two texts", "at once"])
    >>> model(**encoding).last_hidden_state
    >>> model.tokenizer.decode(model.tokenizer.encode("a text"))
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        names: Mapping[str, str],
        makes_types: bool,
        max_length: int | None = None,
        padding_side: Side = "right",
        padding_type: int = 0,
        sentencepiece: SentencePieceSource | None = None,
    ) -> None:
        """`names` gives a token for each role of `SpecialTokens` that there is; `makes_types`: `token_type_ids` too.

        `padding_side` is where rows are padded unless told otherwise, `padding_type` the token type of padding;
        `sentencepiece` is the model file that the tokenizer was made from.

        The tokenizer takes `backend` over, and clears what it says about padding and cutting.
        """
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.special = special_tokens(backend, names)
        self.makes_types = makes_types
        self.max_length = max_length
        self.padding_side: Side = padding_side
        self.padding_type = padding_type
        self.sentencepiece = sentencepiece
        self.kind: Kind = _kind(backend)

    def __len__(self) -> int:
        """How many ids there are, those of added tokens included: one more than the highest.

        A vocabulary file that names a token twice has an id that nothing uses.
        """
        count: int = self.backend.get_vocab_size()
        while self.backend.id_to_token(count) is not None:
            count += 1
        return count

    def __contains__(self, token: str) -> bool:
        return self.backend.token_to_id(token) is not None

    def __repr__(self) -> str:
        limit = "" if self.max_length is None else f", max_length {self.max_length}"
        return f"Tokenizer({self.kind}, {len(self)} tokens{limit}, {self.special})"

    @property
    def model_inputs(self) -> tuple[str, ...]:
        """The names of the tensors that a call makes."""
        types = ("token_type_ids",) if self.makes_types else ()
        return ("input_ids", *types, "attention_mask")

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        padding_side: Side | None = None,
        max_length: int | None = None,
        truncation: bool = False,
    ) -> Encoding:
        """Texts, or pairs of texts, as one padded batch of LongTensors `(batch, tokens)`.

        Rows are padded to the longest, on the right (XLNet's on the left) unless told otherwise, with the pad token or,
        where there is none (GPT-2), with id 0: the mask says 0 there, so nobody sees it. A row of more than
        `max_length` tokens is an error unless `truncation` is True: then its end is cut, special tokens stay, and of a
        pair the longer text is cut first. With `truncation`, `max_length` may be left to the tokenizer's own.

        Raises `InputError` for no texts, a row that is no text, gives no tokens or is too long, naming the row.
        """
        if padding_side not in (None, "left", "right"):
            raise InputError(f"padding_side={padding_side!r} is none; choose 'left' or 'right'")
        limit = self._limit(max_length, truncation)
        inputs = as_rows(texts, pairs)

        def trace() -> list[tokenizers.Encoding]:
            return self.encodings(inputs, add_special_tokens, offsets=True)

        try:
            rows = self.encodings(inputs, add_special_tokens)
        except TypeError:
            check_unicode(inputs)
            raise
        ids = [row.ids for row in rows]
        if [] in ids:
            row = ids.index([])
            raise InputError(f"row {row + 1} ({inputs[row]!r:.40}) gives no tokens; leave empty texts out")
        kept = {} if limit is None else self._kept(rows, limit, truncation)

        real = tuple(len(kept.get(index, row)) for index, row in enumerate(ids))
        width, side = max(real), padding_side or self.padding_side

        def columns(values: list[list[int]], filler: int) -> torch.Tensor:
            cut = [[row[token] for token in kept[index]] if index in kept else row for index, row in enumerate(values)]
            return pad(cut, width, filler, side)

        tensors = {"input_ids": columns(ids, self.special.pad_id or 0)}
        if self.makes_types:
            tensors["token_type_ids"] = columns([row.type_ids for row in rows], self.padding_type)
        tensors["attention_mask"] = real_tokens(real, width, side)
        return Encoding(tensors, real=real, padding_side=side, kept=kept, trace=trace)

    def encodings(
        self, rows: Sequence[str | tuple[str, str]], add_special_tokens: bool = True, *, offsets: bool = False
    ) -> list[tokenizers.Encoding]:
        """Texts or pairs of texts, all valid Unicode, as the library's rows, however long, neither cut nor padded.

        Where the tokens stand in their texts is followed only with `offsets`: it costs a third of the time.
        """
        encode = self.backend.encode_batch if offsets else self.backend.encode_batch_fast
        encoded = encode(list(rows), add_special_tokens=add_special_tokens)
        exact = None if self.sentencepiece is None else self.sentencepiece.exact
        if exact is None:
            return encoded
        return [
            exact.encode(self.backend, row, add_special_tokens) if exact.needs(row, made.ids) else made
            for row, made in zip(rows, encoded, strict=True)
        ]

    def literal(self, texts: Sequence[str], *, offsets: bool = False) -> list[tokenizers.Encoding]:
        """Texts as the library's rows, without added tokens, and what looks like `[MASK]` in one is six signs of it: as
        a corpus is read, so that a model is asked for what it was taught.

        A vocabulary of whole words is the exception: its `<unk>` and `<eos>` are words of the texts it was made of.
        """
        rows = self.encodings(texts, False, offsets=offsets)
        if self.kind == "wordlevel":
            return rows
        special = {id for id, token in self.backend.get_added_tokens_decoder().items() if token.special}
        unknown, spelled = self.special.unk_id, (self.special.unk or "").lower()
        again = [
            index
            for index, (text, row) in enumerate(zip(texts, rows, strict=True))
            if any(id != unknown or spelled in text.lower() for id in special.intersection(row.ids))
        ]
        if again:
            plain = copy.copy(self)
            plain.backend = copy.deepcopy(self.backend)
            plain.backend.encode_special_tokens = True
            read = plain.encodings([texts[index] for index in again], False, offsets=offsets)
            for index, row in zip(again, read, strict=True):
                rows[index] = row
        return rows

    def _limit(self, max_length: int | None, truncation: bool) -> int | None:
        limit = self.max_length if max_length is None and truncation else max_length
        if truncation and limit is None:
            raise InputError("truncation needs a length and this tokenizer states none; pass max_length=…")
        if limit is not None and limit < 1:
            raise InputError(f"max_length={limit} counts tokens and must be at least 1")
        return limit

    def _kept(self, rows: list[tokenizers.Encoding], limit: int, truncation: bool) -> dict[int, list[int]]:
        """For each row that is too long, the tokens that stay."""
        kept = {}
        for index, row in enumerate(rows):
            if len(row) <= limit:
                continue
            if not truncation:
                raise InputError(
                    f"row {index + 1} has {len(row)} tokens, more than max_length {limit}; "
                    "pass truncation=True to cut its end, or split the text"
                )
            sequences = row.sequence_ids
            left = kept_by_longest_first(sequences, limit)
            if left is None:
                added = sequences.count(None)
                raise InputError(f"max_length {limit} leaves no room for text beside {added} special tokens; raise it")
            kept[index] = left
        return kept

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The ids of one text."""
        return self._encode(text, add_special_tokens).ids

    def _encode(self, text: str, add_special_tokens: bool) -> tokenizers.Encoding:
        check_texts([text])
        try:
            return self.encodings([text], add_special_tokens, offsets=True)[0]
        except TypeError:
            check_unicode([text])
            raise

    @property
    def closing(self) -> list[int]:
        """The ids that are appended to every text, such as `[SEP]`; XLNet's are `<sep> <cls>`."""
        row = self._encode("a", True)  # a text that is sure to have tokens
        last = max(index for index, text in enumerate(row.sequence_ids) if text == 0)
        return row.ids[last + 1 :]

    def prompt(self, text: str) -> list[int]:
        """The ids that a generated text continues: what the tokenizer puts in front stays, what it appends does not.

        A prompt that ends in `[SEP]` or `</s>` has already been closed, and a model rarely says anything after that. An
        empty prompt is the beginning-of-text token, where there is one.
        """
        ids = self.encode(text)
        ids = ids[: len(ids) - len(self.closing)]  # a special token that the user wrote stays
        if not ids and self.special.bos_id is not None:
            return [self.special.bos_id]
        if not ids:
            raise InputError("the prompt is empty and this tokenizer has no token to begin with; give some text")
        return ids

    def decode(self, ids: Sequence[int] | torch.Tensor, skip_special_tokens: bool = False) -> str:
        """The text of one row of ids."""
        if isinstance(ids, torch.Tensor):
            if ids.dim() != 1:
                raise InputError(f"decode takes one row of ids, got shape {tuple(ids.shape)}; decode row by row")
            ids = ids.tolist()
        if len(ids) and not 0 <= min(ids) <= max(ids) < len(self):
            for id in ids:
                self.token(id)
        return self.backend.decode(ids, skip_special_tokens=skip_special_tokens)

    def decode_stream(self, after: Sequence[int] = (), skip_special_tokens: bool = False) -> DecodeStream:
        """Decoding one id at a time; the new text continues `after`, for instance the ids of a prompt."""
        return DecodeStream(lambda ids: self.decode(ids, skip_special_tokens), after)

    def token(self, id: int) -> str:
        """The token with this id, as the vocabulary spells it; `InputError` where there is none."""
        token = self.backend.id_to_token(id) if 0 <= id < 2**32 else None  # the library's ids have 32 bits
        if token is None:
            raise InputError(f"no token has id {id}; this tokenizer's ids are 0 to {len(self) - 1}")
        return token

    def id(self, token: str) -> int:
        """The id of a token, as the vocabulary spells it; `InputError` where there is none."""
        id = self.backend.token_to_id(token)
        if id is None:
            raise InputError(f"{token!r} is not a token of this {self.kind} vocabulary; encode() splits text into some")
        return id

    def add_tokens(self, tokens: str | AddedToken | Sequence[str | AddedToken], special: bool = False) -> int:
        """Add tokens that text is never split inside of; gives how many ids are new, for the embeddings to grow by.

        A special token is left out by `decode(…, skip_special_tokens=True)` and found in text exactly as written.
        """
        new = [tokens] if isinstance(tokens, str | AddedToken) else list(tokens)
        if any(not str(token) for token in new):
            raise InputError("an added token is empty; give it at least one character")
        if self.sentencepiece is not None:
            # Looked for in the text itself: normalized, each would have a space in front.
            new = [AddedToken(token, normalized=False) if isinstance(token, str) else token for token in new]
        before = len(self)
        if special:
            self.backend.add_special_tokens(new)
        else:
            self.backend.add_tokens(new)
        self.special = special_tokens(self.backend, self.special.names)
        return len(self) - before
