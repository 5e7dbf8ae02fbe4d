"""The section of writing: token by token with what else could have come, or all at once, round by round."""

from __future__ import annotations

from collections.abc import Mapping

from sightline.pages.markup import Html, isolated, joined, listed, section, tag
from sightline.probing.draw import label
from sightline.probing.look_parts import SHARES, TITLES, level, percent
from sightline.probing.look_words import likely
from sightline.probing.written import WORD_BY_WORD, Chosen, Written


def _step(number: int, chosen: Chosen, spelled: Mapping[int, str]) -> Html:
    name = spelled[chosen.token]
    number_, share = tag("small", f"{number} "), tag("small", f" {percent(chosen.probability)}")
    words = [(spelled[token], probability) for token, probability in chosen.others]
    return joined(tag("h3", number_, isolated(label(name)), share), likely(words, name))


def _rounds(found: Written, spelled: Mapping[int, str]) -> Html:
    rows = []
    for number, step in enumerate(found.steps, start=1):
        cells = [
            tag(
                "td",
                isolated(label(spelled[one.token])),
                title=percent(one.probability),
                class_=f"is-{level(one.probability, SHARES)}",
            )
            for one in step
        ]
        rows.append(tag("tr", tag("th", f"round {number}", scope="row"), *cells))
    caption = "All places, round by round"
    whole = tag("table", tag("caption", caption), tag("tbody", *rows), class_="lens")
    return tag("div", whole, class_="lens-box", tabindex="0", role="region", aria_label=caption)


def writing(found: Written, spelled: Mapping[int, str]) -> Html:
    """The section; `spelled` gives every token's text."""
    prompt = " ".join(label(spelled[token]) for token in found.prompt)
    after = tag("p", tag("small", "after "), isolated(prompt), class_="prompt")
    if found.how == WORD_BY_WORD:
        explained = "The likeliest token each time, and what else could have come, by the model's own probabilities."
        items = [_step(number, one, spelled) for number, (one,) in enumerate(found.steps, start=1)]
        body = listed(*items, class_="places", kind="ol")
    else:
        explained = "All places at once; then, round by round, those that it is least sure of are asked anew."
        body = _rounds(found, spelled)
    return section("written", TITLES["written"], explained, after, body, wide=True)
