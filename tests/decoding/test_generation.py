"""Generation as its readers meet it: steps and whole texts, what is shown and what is not, why rows end, and Ctrl-C."""

from collections.abc import Callable

import pytest
import torch

from decoding.models import babbler, bytelevel, endings, masked, roberta_tokenizer, scripted, wordpiece, writer
from sightline.core.mask import Causal
from sightline.decoding.generate import generate
from sightline.decoding.generation import Generation
from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model
from sightline.text.tokenizer import Tokenizer

START = bytelevel().encode("a")


def says(text: str, end: bool = False) -> Model:
    """A model that writes this text, byte by byte where no word of the vocabulary fits, and then nothing on purpose."""
    tokens = bytelevel().encode(text)
    return scripted([*tokens, 0] if end else tokens)


def spelled(*pieces: str) -> Model:
    """A model that writes these pieces, each a token or several of its own."""
    return scripted([token for piece in pieces for token in bytelevel().encode(piece)])


# Text


@pytest.mark.parametrize("text", [" cat sat on the mat", "ß 🙂 café", "the cat\n\nthe end", "  two  spaces "])
def test_the_text_is_what_the_model_said(text: str) -> None:
    generation = generate(says(text), "a")
    assert generation.texts() == [text]
    assert generation.ids() == [bytelevel().encode(text)]
    assert endings(generation) == ["length"]


@pytest.mark.parametrize("seed", range(4))
def test_pieces_joined_are_the_text(seed: int) -> None:
    """Whatever bytes come: prompt and pieces together are what decoding all ids at once gives."""
    model, prompts = babbler(seed), ["the cat", "é", "a"]
    generation = generate(model, prompts, max_new_tokens=12, temperature=2.0, seed=seed)
    shown = [""] * 3
    for step in generation:
        shown[step.row] += step.text
    assert shown == generation.texts()
    for prompt, text, ids in zip(prompts, shown, generation.ids(), strict=True):
        assert prompt + text == bytelevel().decode(bytelevel().encode(prompt) + ids, skip_special_tokens=True)


def test_a_character_in_several_tokens_comes_whole() -> None:
    model = says("🙂!")
    assert [step.text for step in generate(model, "a")] == ["", "", "", "🙂", "!"]


def test_a_character_that_is_never_finished() -> None:
    """Shown at the end as decoding shows it, where the length ends the row and where an end token does."""
    tokens = bytelevel().encode("🙂")[:2]
    for script in (tokens, [*tokens, 0]):
        assert generate(scripted(script), "a").texts() == ["\N{REPLACEMENT CHARACTER}"]


def test_special_tokens_are_not_shown() -> None:
    tokenizer = wordpiece()
    words, special = tokenizer.encode("the cat", add_special_tokens=False), tokenizer.special
    assert special.cls_id is not None and special.mask_id is not None and special.pad_id is not None
    script = [special.cls_id, words[0], special.mask_id, special.pad_id, *words[1:]]
    generation = generate(scripted(script, tokenizer), [words[:1]])
    assert generation.ids() == [script]
    assert generation.texts() == [" the cat"]


def test_a_prompt_of_special_tokens_only() -> None:
    assert generate(says("the cat"), [[0]]).texts() == ["the cat"]
    assert generate(says("the cat"), "").texts() == ["the cat"]  # an empty text begins with the token for beginning


def test_ids_beyond_the_tokenizer_have_no_text() -> None:
    """Vocabularies are often rounded up to a multiple of 64."""
    cat = bytelevel().encode(" cat")
    model = scripted([*cat, 310, *cat, 319], vocabulary=320)
    generation = generate(model, [START])
    assert generation.texts() == [" cat cat"]
    assert generation.ids() == [[*cat, 310, *cat, 319]]
    assert generate(model, [[300]], stop=" cat cat").texts() == [""]
    assert [row[-1].ending for row in generate(model, [[300]], stop=" cat cat").rows()] == ["stop string"]


# Why a row ends


def test_an_end_token_ends_and_is_not_shown() -> None:
    generation = generate(says("the cat", end=True), "a")
    (row,) = generation.rows()
    assert generation.texts() == ["the cat"]
    assert (row[-1].token, row[-1].text, row[-1].ending) == (0, "", "end token")
    assert [step.ending for step in row[:-1]] == [None] * (len(row) - 1)


def tokens_after(model: Model) -> int:
    return len(generate(model, "a").ids()[0])


def test_which_token_ends() -> None:
    """What the checkpoint says, one or several; else the tokenizer's end, else its separator; else nothing ends."""
    script = [*bytelevel().encode("the cat"), 0, *bytelevel().encode(" dog")]
    model = scripted(script)
    assert tokens_after(model) == script.index(0) + 1
    model.stored_config = {"eos_token_id": script[1]}
    assert tokens_after(model) == 2
    assert generate(model, "a").texts() == ["the"]  # not shown, though it is a word
    model.stored_config = {"eos_token_id": [script[-1], 0]}
    assert tokens_after(model) == script.index(0) + 1
    model.stored_config = {"eos_token_id": None}
    assert tokens_after(model) == script.index(0) + 1
    model.tokenizer = None
    assert len(generate(model, [START]).ids()[0]) == len(script)


@pytest.mark.parametrize("make", [wordpiece, roberta_tokenizer])
def test_a_separator_ends_where_there_is_no_end(make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    words = tokenizer.encode("the cat", add_special_tokens=False)
    model = scripted([*words, tokenizer.special.sep_id or 0, *words], tokenizer)
    generation = generate(model, [words[:1]])
    assert len(generation.ids()[0]) == len(words) + 1
    assert endings(generation) == ["end token"]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_max_new_tokens(limit: int) -> None:
    for how in ({}, {"beams": 2}, {"temperature": 1.0}):
        generation = generate(writer(), [[5, 6], [7]], max_new_tokens=limit, **how)  # type: ignore[arg-type]
        assert [len(row) for row in generation.ids()] == [limit, limit]
        assert endings(generation) == ["length", "length"]


def test_a_beam_does_not_show_its_end_token_either() -> None:
    model = babbler()
    said = generate(model, "the", beams=2, max_new_tokens=8).ids()[0]
    model.stored_config = {"eos_token_id": said[4]}
    generation = generate(model, "the", beams=2, samples=2, max_new_tokens=8, length_penalty=-1.0)
    assert "end token" in endings(generation)
    prompt = bytelevel().encode("the")
    for row, text in zip(generation.rows(), generation.texts(), strict=True):
        shown = [step.token for step in row if step.ending != "end token"]
        assert "the" + text == bytelevel().decode(prompt + shown, skip_special_tokens=True)


def test_an_end_token_at_the_last_place_is_an_end_token() -> None:
    model = says("the cat", end=True)
    length = tokens_after(model)
    assert endings(generate(model, "a", max_new_tokens=length)) == ["end token"]
    assert endings(generate(model, "a", max_new_tokens=length - 1)) == ["length"]


# Stop strings


@pytest.mark.parametrize(
    ("pieces", "stop", "shown"),
    [
        (["the", " c", "at", " sat"], "cat", "the "),
        (["x", "a", "a", "a", "b", "y"], "aab", "xa"),
        (["the", " cat"], "the", ""),
        (["the", " cat", " sat"], ["sat", "cat"], "the "),
        (["the", " cat", " sat"], ["cat sat", " cat"], "the"),
        (["one", "\n", "\n", "two"], "\n\n", "one"),
        (["caf", "é", "!"], "é", "caf"),
    ],
)
def test_a_stop_string_ends_the_row(pieces: list[str], stop: str | list[str], shown: str) -> None:
    generation = generate(spelled(*pieces), "x", stop=stop)
    assert generation.texts() == [shown]
    assert endings(generation) == ["stop string"]
    whole = bytelevel().decode(generation.ids()[0])
    assert any(string in whole for string in ([stop] if isinstance(stop, str) else stop))


def test_every_part_of_a_text_can_stop_it() -> None:
    text = "the cat sat, the dog sat"
    model = says(text)
    for begin in range(0, len(text), 3):
        for end in range(begin + 1, len(text) + 1, 4):
            generation = generate(model, "a", stop=[text[begin:end]])
            assert generation.texts() == [text[: text.find(text[begin:end])]]


@pytest.mark.parametrize("end", [False, True])
def test_what_was_held_back_is_shown_at_the_end(end: bool) -> None:
    """Nothing is lost where a stop string began and never came."""
    generation = generate(says("the end of the e", end=end), "a", stop=["ends", "eels"])
    assert generation.texts() == ["the end of the e"]
    assert endings(generation) == ["end token" if end else "length"]


def test_no_step_shows_the_beginning_of_a_stop_string() -> None:
    steps = list(generate(spelled("x", "E", "N", "x", "E", "N", "D"), "a", stop="END"))
    assert [step.text for step in steps] == ["x", "", "", "ENx", "", "", ""]


def test_a_stop_string_in_the_prompt_stops_nothing() -> None:
    assert generate(says(" cat"), [bytelevel().encode("t")], stop="t").texts() == [" ca"]
    assert generate(says(" dog"), [bytelevel().encode("t")], stop=["t", "t d"]).texts() == [" dog"]


def test_rows_stop_each_by_itself() -> None:
    model = babbler(2)
    plain = generate(model, ["the", "a", "dog"], max_new_tokens=10, temperature=1.5)
    texts = plain.texts()
    stop = next(character for character in texts[1] if character.isprintable() and character != "\ufffd")
    got = generate(model, ["the", "a", "dog"], max_new_tokens=10, temperature=1.5, stop=stop).texts()
    assert got == [text.partition(stop)[0] for text in texts]
    assert got != texts


# The iterator


def make(tokens: int = 6) -> Generation:
    return generate(babbler(), ["the", "a cat"], max_new_tokens=tokens)


def test_texts_before_during_and_after_iterating() -> None:
    whole = make()
    texts, ids = whole.texts(), whole.ids()
    assert list(whole) == []  # a single pass: it is over
    assert (whole.texts(), whole.ids()) == (texts, ids)

    begun = make()
    first = [next(begun) for _ in range(3)]
    assert begun.texts() == texts
    assert [step for row in begun.rows() for step in row if step in first] == sorted(first, key=lambda step: step.row)
    with pytest.raises(StopIteration):
        next(begun)

    steps = list(make())
    assert [[step.token for step in steps if step.row == row] for row in (0, 1)] == ids


def test_rows_take_turns() -> None:
    assert [step.row for step in make(tokens=3)] == [0, 1, 0, 1, 0, 1]


def test_steps_come_as_they_are_made() -> None:
    model, calls = writer(), []
    model.network.register_forward_pre_hook(lambda *_: calls.append(1))
    generation = generate(model, [[5, 6]], max_new_tokens=5)
    seen = []
    for _ in generation:
        seen.append(len(calls))
    assert seen == [1, 2, 3, 4, 5]  # nothing is asked after the last token


def test_what_is_handed_out_is_a_copy() -> None:
    generation = make()
    generation.rows()[0].clear()
    assert len(generation.ids()[0]) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_there_was_is_kept(error: type[BaseException]) -> None:
    """Ctrl-C in the middle: the steps so far are there, and nothing follows."""
    model = babbler()
    texts = generate(model, ["the", "a"], max_new_tokens=3).texts()
    count = 0

    def interrupt(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 4:
            raise error

    hook = model.network.register_forward_pre_hook(interrupt)
    generation = generate(model, ["the", "a"], max_new_tokens=9)
    with pytest.raises(error):
        generation.texts()
    hook.remove()
    assert [len(row) for row in generation.ids()] == [3, 3]
    for text, whole in zip(generation.texts(), texts, strict=True):
        assert whole.startswith(text)


def test_a_model_without_tokenizer() -> None:
    """Ids in, ids out."""
    model = writer()
    generation = generate(model, [[5, 6, 7], [8]], max_new_tokens=4)
    assert all(step.text == "" for step in generation)
    assert [len(row) for row in generation.ids()] == [4, 4]
    with pytest.raises(UnsupportedError, match=r"came without a tokenizer, so there is no text; ask for ids\(\)"):
        generation.texts()
    with pytest.raises(UnsupportedError, match=r"came without a tokenizer, so it cannot read text; put the"):
        generate(model, "a text")
    with pytest.raises(UnsupportedError, match="stop strings are found in text, and this model came without tokenizer"):
        generate(model, [[5]], stop="x")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types_of_weights(dtype: torch.dtype) -> None:
    model = babbler().to(dtype)
    for how in ({}, {"temperature": 1.0, "top_p": 0.9}, {"beams": 2}):
        assert len(generate(model, "the", max_new_tokens=4, **how).ids()[0]) > 0  # type: ignore[arg-type]


def test_gradients_are_neither_kept_nor_wanted() -> None:
    model = writer()
    with torch.enable_grad():
        generate(model, [[5, 6]], max_new_tokens=3).ids()
        next(generate(model, [[5, 6]], max_new_tokens=3))
        assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_masked_model_continues_when_it_looks_back_only() -> None:
    model = masked().with_mask(Causal())
    generation = generate(model, "the cat", max_new_tokens=5)
    assert len(generation.ids()[0]) <= 5
    with pytest.raises(InputError, match="nothing could follow"):
        generate(model, "the cat " * 20)
