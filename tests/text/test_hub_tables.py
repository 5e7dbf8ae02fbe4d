"""Labelled rows on a hub of our own on 127.0.0.1, which the real huggingface_hub talks to."""

import io

import polars
import pytest
from huggingface_hub import constants

from hub_server import HubServer
from sightline.errors import SightlineError
from sightline.text.labelled import read_examples

CSV = "text,label\n" + "".join(f"good {row},yes\nbad {row},no\n" for row in range(20))
SECRET = "hf_verysecret"


def error_of(address: str) -> str:
    with pytest.raises(SightlineError) as caught:
        read_examples(address)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_a_table_is_fetched_once(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = io.BytesIO()
    polars.DataFrame({"text": ["good", "bad"], "label": [1, 0]}).write_parquet(parquet)
    hub.commit("owner/name", {"data/train.csv": CSV.encode(), "dev.parquet": parquet.getvalue()})
    address = "hf://datasets/owner/name/data/train.csv"
    table = read_examples(address)
    assert (table.name, len(table.examples), table.examples.labels) == (address, 40, ("no", "yes"))
    assert read_examples("hf://datasets/owner/name/dev.parquet").examples.texts == ["good", "bad"]
    hub.requests.clear()
    assert len(read_examples(address).examples) == 40
    assert not any("/resolve/" in request.path for request in hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.stop()
    assert len(read_examples(address).examples) == 40
    message = error_of("hf://datasets/owner/name/other.csv")
    assert "'other.csv' of the data set 'owner/name' is not in the cache" in message
    assert "and HF_HUB_OFFLINE is set" in message


def test_a_revision(hub: HubServer) -> None:
    hub.commit("owner/name", {"a.csv": CSV.encode()})
    hub.commit("owner/name", {"a.csv": CSV.replace("good", "fine").encode()}, branch="other")
    hub.commit("owner/name", {"a.csv": CSV.replace("good", "fair").encode()}, branch="refs/convert/parquet")
    assert read_examples("hf://datasets/owner/name/a.csv").examples.texts[0] == "good 0"
    assert read_examples("hf://datasets/owner/name@other/a.csv").examples.texts[0] == "fine 0"
    assert read_examples("hf://datasets/owner/name@~parquet/a.csv").examples.texts[0] == "fair 0"
    assert "has no revision 'none'; give a branch" in error_of("hf://datasets/owner/name@none/a.csv")


def test_a_private_table_needs_the_token(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("owner/name", {"a.csv": CSV.encode()})
    hub.repositories["owner/name"].token = SECRET
    address = "hf://datasets/owner/name/a.csv"
    assert "if it is private, log in with" in error_of(address)
    hub.repositories["owner/name"].gated = True
    assert "is gated: accept its terms" in error_of(address)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert len(read_examples(address).examples) == 40


def test_what_is_not_there_is_named(hub: HubServer) -> None:
    hub.commit("owner/name", {"data/train.csv": CSV.encode(), "zzz.md": b""})
    assert "did you mean 'data/train.csv'?" in error_of("hf://datasets/owner/name/data/trian.csv")
    assert "it holds 'data/train.csv', 'zzz.md'" in error_of("hf://datasets/owner/name/q.csv")
    assert "there is no data set 'owner/none' at http" in error_of("hf://datasets/owner/none/q.csv")
    assert "does not name one file of a data set" in error_of("hf://datasets/owner/a.csv")
    assert "does not name one file of a data set" in error_of("hf://datasets/owner/name/*.csv")
    assert "does not name one file of a data set" in error_of("hf://models/owner/name/a.csv")
    assert "is no table that is read here: give a .csv" in error_of("hf://datasets/owner/name")


def test_a_hub_that_does_not_answer(hub: HubServer) -> None:
    hub.down = True
    assert "with status 503; try again later" in error_of("hf://datasets/owner/name/a.csv")
    hub.stop()
    assert "which is not in the cache; check the connection" in error_of("hf://datasets/owner/name/a.csv")
