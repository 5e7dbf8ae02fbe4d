"""What a contender's name stands for."""

from pathlib import Path

import pytest

from sightline.comparison.contenders import DEFAULT, FRESH, Fresh, parse, parse_all
from sightline.core.mask import Bidirectional, Causal
from sightline.errors import ConfigError
from sightline.model.families import LAYOUTS


def test_the_default_contenders_differ_in_the_mask_alone() -> None:
    encoder, decoder = parse("encoder"), parse("decoder")
    assert encoder.source == decoder.source == FRESH["encoder"][0]
    assert (encoder.mask, decoder.mask) == (Bidirectional(), Causal())
    assert encoder.source == Fresh(family="modernbert", tokens="wordpiece", dropout=0.1)
    assert [parse(name).source for name in ("bert", "gpt2")] == [
        Fresh(family="bert", tokens="wordpiece"),
        Fresh(family="gpt2", tokens="bytelevel-bpe"),
    ]
    assert [one.name for one in parse_all(DEFAULT)] == list(DEFAULT)


def test_names_say_the_mask_and_whether_weights_stay(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    plain, causal, frozen, both = (parse(f"{folder}{rest}") for rest in ("", "@causal", "#frozen", "@causal#frozen"))
    assert [one.name for one in (plain, causal, frozen, both)] == [
        "my model",
        "my model@causal",
        "my model#frozen",
        "my model@causal#frozen",
    ]
    assert [one.kind for one in (plain, causal, frozen, both)] == ["network", "network", "frozen", "frozen"]
    assert [one.mask for one in (plain, causal, frozen, both)] == [None, Causal(), None, Causal()]
    assert all(one.source == str(folder) for one in (plain, causal, frozen, both))


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "model@home"
    folder.mkdir()
    assert parse(str(folder)).mask is None
    assert parse(f"{folder}@causal").source == str(folder)


def test_a_hub_id_keeps_its_name() -> None:
    found = parse("someone/a-model@causal")
    assert (found.name, found.source) == ("someone/a-model@causal", "someone/a-model")


def test_another_checkpoint_under_the_same_name_is_another_contender(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    first = parse(str(folder)).content()
    assert first == parse(f"{folder}@causal").content()
    (folder / "model.safetensors").write_bytes(b"others!")
    assert parse(str(folder)).content() not in (first, None)
    assert parse("encoder").content() == parse("decoder").content() not in (parse("gpt2").content(), None)
    assert parse("someone/a-model").content() is None


def test_a_pair_of_checkpoints_is_two_contenders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["jhu-clsp/ettin-encoder-17m", "jhu-clsp/ettin-decoder-17m"]
    assert [one.name for one in parse_all(["tfidf", "ettin-17m"])] == ["tfidf", *names]
    assert [one.mask for one in parse_all(["ettin-17m@causal"])] == [Causal(), Causal()]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ettin-17m").mkdir()
    assert [one.name for one in parse_all(["ettin-17m"])] == ["ettin-17m"], "a folder of that name is a folder"


def test_every_family_can_be_a_new_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for family in LAYOUTS:
        source = parse(f"new:{family}").source
        assert isinstance(source, Fresh) and source.family == family and source.dropout is None
    assert parse("new:bert") == parse("bert") and parse("new:gpt2@bidirectional") == parse("gpt2@bidirectional")
    assert parse("new:transformer-xl@bidirectional").name == "new:transfo-xl@bidirectional"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xlnet").mkdir()
    assert parse("xlnet").source == "xlnet", "a folder of that name is a folder"


def test_random_weights_are_known() -> None:
    assert [parse(name).random for name in ("majority", "encoder", "bert@causal", "some/model")] == [
        None,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("majorty", "did you mean 'majority'"),
        ("tfidf#frozen", "nothing to freeze"),
        ("encoder#frozen", "random weights"),
        ("encoder@causal", "named for its mask, bidirectional; use decoder"),
        ("decoder@prefix(4) | causal", r"use new:modernbert@prefix"),
        ("xlnet", "did you mean 'new:xlnet'"),
        ("new:xlnt", "did you mean 'xlnet'"),
        ("new:xlnet#frozen", "random weights"),
        ("bert#cold", "'frozen'"),
        ("@causal", "nothing before its sign"),
        ("bert@sideways", "sideways"),
    ],
)
def test_a_name_that_cannot_be_says_why(asked: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(asked)


def test_no_two_have_the_same_name(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "model").mkdir(parents=True)
    with pytest.raises(ConfigError, match="called 'model'"):
        parse_all([str(tmp_path / "a" / "model"), str(tmp_path / "b" / "model")])
    with pytest.raises(ConfigError, match="named twice"):
        parse_all(["tfidf", "tfidf"])
    with pytest.raises(ConfigError, match="no contenders"):
        parse_all([])
