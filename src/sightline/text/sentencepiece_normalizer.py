"""Text as sentencepiece prepares it, as steps of the `tokenizers` library.

sentencepiece walks through a text once, replaces the longest rule that matches at each place, drops spaces at both ends
and repeated ones, and writes the others as `▁` (`Normalizer::Normalize` in its `src/normalizer.cc`). The library's
`Precompiled` reads the same rules, but looks a whole grapheme up by its shortest rule, which loses the accent of
`X\N{COMBINING ACUTE ACCENT}` where letters have a rule of their own: so graphemes are taken apart in front of it, and
what the rules would have composed is composed behind it.
"""

from collections.abc import Iterable

from tokenizers import Regex, normalizers

from sightline.text.sentencepiece_file import Normalization

SPACE = "▁"
# Breaks graphemes apart and is in no text: a code point that Unicode leaves unassigned.
_BREAK = "\ufff0"
_ACUTE = "\N{COMBINING ACUTE ACCENT}"
_STAND_INS = 0x10F000  # private characters of the last plane


def _rules(charsmap: bytes, compose: bool) -> list[normalizers.Normalizer]:
    rules = normalizers.Precompiled(charsmap)
    steps = [
        normalizers.Replace(Regex(r"(?<=(?m:.))(?=[\p{M}\p{Cf}\p{Sk}\p{Lm}\p{Hangul}])|(?<=\r)(?=\n)"), _BREAK),
        rules,
        normalizers.Replace(_BREAK, ""),
    ]
    composes = rules.normalize_str("e" + _ACUTE) == "\N{LATIN SMALL LETTER E WITH ACUTE}"
    return [*steps, normalizers.NFC()] if compose and composes else steps


def _spaces(spec: Normalization) -> list[normalizers.Normalizer]:
    """Drop the spaces that do not count, and write the others as the pieces do."""
    steps: list[normalizers.Normalizer] = []
    space = SPACE if spec.escape_whitespaces else " "
    prefix = space if spec.add_dummy_prefix else ""
    if spec.remove_extra_whitespaces:
        steps += [
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Replace(Regex(rf"\A{prefix} +"), prefix),
            normalizers.Replace(Regex(rf"[ {space}]+\z"), ""),
        ]
    return [*steps, normalizers.Replace(" ", SPACE)] if spec.escape_whitespaces else steps


def normalizer_of(
    spec: Normalization, symbols: Iterable[str] = (), *, compose: bool = True
) -> normalizers.Normalizer | None:
    """The steps from a text to the string that is cut into pieces; None where there is nothing to do.

    `symbols` are the user-defined ones: no rule changes them. Without `compose`, letters that the rules replace
    together are left to the caller.
    """
    rules = _rules(spec.charsmap, compose) if spec.charsmap else []
    together = normalizers.Sequence(rules)
    changed = sorted((symbol for symbol in symbols if together.normalize_str(symbol) != symbol), key=len, reverse=True)
    stand_ins = [(symbol, chr(_STAND_INS + index)) for index, symbol in enumerate(changed)]
    space = SPACE if spec.escape_whitespaces else " "
    steps = [
        # First, so that a text of which nothing is left keeps nothing: the space is dropped with the others.
        *([normalizers.Prepend(space)] if spec.add_dummy_prefix else []),
        *(normalizers.Replace(symbol, stand_in) for symbol, stand_in in stand_ins),
        *rules,
        *(normalizers.Replace(stand_in, symbol) for symbol, stand_in in stand_ins),
        *_spaces(spec),
    ]
    return normalizers.Sequence(steps) if steps else None
