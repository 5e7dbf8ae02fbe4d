"""From a name to a folder, against a hub of our own on 127.0.0.1 that the real huggingface_hub talks to."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from hub_server import HubServer
from sightline.errors import NotFoundError
from sightline.weights.files import open_tensors
from sightline.weights.hub import PAIRS, locate

WEIGHTS = save({"a": torch.arange(3000.0)}, metadata={"format": "pt"})
MODEL = {"config.json": b'{"model_type": "bert"}', "model.safetensors": WEIGHTS, "vocab.txt": b"[PAD]\n"}
SECRET = "hf_verysecret"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that this process uses, with an empty cache, outside of any model folder."""
    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "agents.json"))
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(NotFoundError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert SECRET not in message
    return message


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fetched(hub: HubServer, method: str = "GET") -> list[str]:
    """The files whose content went over the wire since the last look."""
    paths = [request.path for request in hub.requests if request.method == method and "/resolve/" in request.path]
    hub.requests.clear()
    return sorted(path.split("/resolve/")[1].split("/", 1)[1] for path in paths)


# Local folders


def saved_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_local_folder_wins_and_the_hub_is_not_asked(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("owner/name", MODEL)
    folder = saved_model(Path("owner/name"))
    assert locate("owner/name") == folder
    assert locate(folder) == folder
    assert locate("./owner/name") == folder
    assert locate(folder.absolute()) == folder.absolute()
    monkeypatch.setenv("HOME", str(Path.cwd()))
    assert locate("~/owner/name") == folder.absolute()
    assert not hub.requests


def test_a_sentence_transformers_folder_is_a_model(hub: HubServer) -> None:
    Path("st").mkdir()
    Path("st/modules.json").write_text("[]")
    assert locate("st") == Path("st")


@pytest.mark.parametrize("as_path", [True, False])
def test_a_missing_folder_names_its_neighbours(hub: HubServer, as_path: bool) -> None:
    saved_model(Path("models/bert-tuned"))
    for name, wrong, hint in [("./models/bert-tned", "bert-tned", "bert-tuned"), ("./modles/x", "modles", "models")]:
        message = error_of(lambda name=name: locate(Path(name) if as_path else name))
        assert f"no {wrong!r}" in message and f"did you mean {hint!r}?" in message
    assert not hub.requests


def test_a_path_that_is_no_hub_id_is_a_missing_folder(hub: HubServer) -> None:
    assert "no folder a/b/c" in error_of(lambda: locate("a/b/c"))
    assert "no folder /absent/x" in error_of(lambda: locate("/absent/x"))
    assert not hub.requests


def test_a_new_network_is_no_folder(hub: HubServer) -> None:
    message = error_of(lambda: locate("new:xlnet"))
    assert message.startswith("'new:xlnet' is a new network, which tune and") and "build('xlnet'" in message
    assert not hub.requests


def test_a_folder_that_is_no_model_says_what_it_holds(hub: HubServer) -> None:
    Path("notes").mkdir()
    assert "no config.json; it holds nothing" in error_of(lambda: locate("notes"))
    for i in range(12):
        Path(f"notes/{i:02d}.txt").touch()
    message = error_of(lambda: locate("notes"))
    assert "00.txt, 01.txt" in message and "and 4 more" in message
    saved_model(Path("notes/checkpoint-500"))
    assert "did you mean 'notes/checkpoint-500'?" in error_of(lambda: locate("notes"))


def test_a_cache_folder_of_the_hub_leads_to_its_snapshot(hub: HubServer) -> None:
    hub.commit("owner/name", MODEL)
    folder = locate("owner/name")
    assert str(folder) in error_of(lambda: locate(folder.parent.parent))


def test_wrong_names_say_what_to_do(hub: HubServer) -> None:
    folder = saved_model(Path("tuned"))
    assert "is a file" in error_of(lambda: locate(folder / "config.json"))
    assert "'v2'" in error_of(lambda: locate("tuned", revision="v2"))
    assert "empty" in error_of(lambda: locate(""))
    assert "neither" in error_of(lambda: locate("two words"))
    assert "did you mean 'gpt2'" in error_of(lambda: locate("https://huggingface.co/gpt2"))
    assert "neither" in error_of(lambda: locate("a--b"))
    assert not hub.requests


# The hub


def test_a_hub_model_is_downloaded_once(hub: HubServer) -> None:
    extra = {"README.md": b"#", "tf_model.h5": b"x", "pytorch_model.bin": b"x", "onnx/model.onnx": b"x"}
    pooling = {"modules.json": b"[]", "1_Pooling/config.json": b"{}"}
    hub.commit("owner/name", {**MODEL, **extra, **pooling})
    folder = locate("owner/name")
    assert files_of(folder) == sorted([*MODEL, *pooling])
    assert torch.equal(open_tensors(folder)["a"], torch.arange(3000.0))
    assert fetched(hub) == sorted([*MODEL, *pooling])
    assert locate("owner/name") == folder
    assert fetched(hub) == []


def test_a_short_name_follows_the_hub_where_it_moved(hub: HubServer) -> None:
    hub.commit("openai-community/gpt2", MODEL)
    hub.aliases["gpt2"] = "openai-community/gpt2"
    assert files_of(locate("gpt2")) == sorted(MODEL)


def test_pickles_are_fetched_only_without_safetensors(hub: HubServer) -> None:
    hub.commit("old/one", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    shards = {f"pytorch_model-0000{i}-of-00002.bin": b"x" for i in (1, 2)}
    hub.commit(
        "old/two", {"config.json": b"{}", "pytorch_model.bin.index.json": b"{}", **shards, "training_args.bin": b""}
    )
    assert files_of(locate("old/one")) == ["config.json", "pytorch_model.bin"]
    assert files_of(locate("old/two")) == ["config.json", *sorted(shards), "pytorch_model.bin.index.json"]
    hub.stop()
    assert files_of(locate("old/one")) == ["config.json", "pytorch_model.bin"]


def test_sharded_safetensors_are_fetched(hub: HubServer) -> None:
    shards = {f"model-0000{i}-of-00002.safetensors": b"x" for i in (1, 2)}
    hub.commit(
        "owner/large", {"config.json": b"{}", "model.safetensors.index.json": b"{}", **shards, "pytorch_model.bin": b""}
    )
    assert files_of(locate("owner/large")) == ["config.json", *sorted(shards), "model.safetensors.index.json"]


def test_only_the_files_asked_for_are_fetched(hub: HubServer) -> None:
    hub.commit("old/one", {"config.json": b"{}", "pytorch_model.bin": b"x", "vocab.txt": b""})
    assert files_of(locate("old/one", files=("config.json", "vocab.txt"))) == ["config.json", "vocab.txt"]


def test_revisions_are_branches_and_commits(hub: HubServer) -> None:
    first = hub.commit("owner/name", {"config.json": b'{"v": 1}'})
    second = hub.commit("owner/name", {"config.json": b'{"v": 2}'})
    hub.commit("owner/name", {"config.json": b'{"v": 3}'}, branch="refs/pr/1")
    read = {
        r: (locate("owner/name", revision=r) / "config.json").read_bytes() for r in (None, first, second, "refs/pr/1")
    }
    assert read == {None: b'{"v": 2}', first: b'{"v": 1}', second: b'{"v": 2}', "refs/pr/1": b'{"v": 3}'}
    third = hub.commit("owner/name", {"config.json": b'{"v": 4}'})
    assert locate("owner/name").name == third
    hub.requests.clear()
    assert locate("owner/name", revision=first).name == first
    assert not hub.requests  # a commit never changes: nothing to ask


def test_an_unknown_revision_is_named(hub: HubServer) -> None:
    hub.commit("owner/name", MODEL)
    for revision in ("no-such-branch", "0" * 40):
        message = error_of(lambda revision=revision: locate("owner/name", revision=revision))
        assert "'owner/name'" in message and repr(revision) in message and "branch" in message


def test_an_unknown_model_gets_the_nearest_names(hub: HubServer) -> None:
    saved_model(Path("my-reviews"))
    message = error_of(lambda: locate("brt-base-uncased"))
    assert "'brt-base-uncased'" in message and "did you mean 'bert-base-uncased'" in message and "HF_TOKEN" in message
    assert "'tiny-bert'" in error_of(lambda: locate("tiny-brt", known=("tiny-bert",)))
    assert "'my-reviews'" in error_of(lambda: locate("my-revews"))
    assert "did you mean" not in error_of(lambda: locate("zzzzzzzzzz"))


def test_the_name_of_a_pair_says_which_two_it_is(hub: HubServer) -> None:
    """One name, two models: neither is taken quietly."""
    for size in ("17m", "1b"):
        message = error_of(lambda size=size: locate(f"ettin-{size}"))
        assert f"'jhu-clsp/ettin-encoder-{size}' and 'jhu-clsp/ettin-decoder-{size}'" in message
    assert not hub.requests
    for name in PAIRS["ettin-17m"]:
        hub.commit(name, MODEL)
        assert locate(name).is_dir()
    assert "did you mean 'jhu-clsp/ettin-encoder-17m'" in error_of(lambda: locate("jhu-clsp/ettin-encodr-17m"))
    saved_model(Path("ettin-17m"))
    assert locate("ettin-17m") == Path("ettin-17m")


def test_a_repository_without_config_says_what_it_holds(hub: HubServer) -> None:
    hub.commit("owner/llama", {"model-q4.gguf": b"x", "README.md": b"#"})
    message = error_of(lambda: locate("owner/llama"))
    assert "no config.json" in message and "model-q4.gguf" in message


def test_gated_and_private_models_ask_for_a_token(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, gated in [("owner/gated", True), ("owner/private", False)]:
        hub.commit(name, MODEL)
        hub.repositories[name].gated = gated
        hub.repositories[name].token = SECRET
    message = error_of(lambda: locate("owner/gated"))
    assert "gated" in message and f"{hub.url}/owner/gated" in message and "HF_TOKEN" in message
    assert "HF_TOKEN" in error_of(lambda: locate("owner/private"))
    monkeypatch.setenv("HF_TOKEN", SECRET + "wrong")
    assert "HF_TOKEN" in error_of(lambda: locate("owner/gated"))
    assert "HF_TOKEN" in error_of(lambda: locate("owner/private"))
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert files_of(locate("owner/gated")) == sorted(MODEL)
    assert files_of(locate("owner/private")) == sorted(MODEL)


def test_a_password_in_the_address_is_not_shown(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url.replace("//", f"//user:{SECRET}@"))
    assert "127.0.0.1" in error_of(lambda: locate("owner/absent"))
    hub.stop()
    assert "127.0.0.1" in error_of(lambda: locate("owner/absent"))


def test_an_address_that_is_no_hub_is_named(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url + "/elsewhere")
    message = error_of(lambda: locate("owner/name"))
    assert f"{hub.url}/elsewhere" in message and "HF_ENDPOINT" in message
    monkeypatch.setattr(constants, "ENDPOINT", hub.url + "/sign-in")
    message = error_of(lambda: locate("owner/name"))
    assert "does not answer as a hub does" in message and "HF_ENDPOINT" in message


# Without a connection


def test_the_cache_answers_when_the_hub_does_not(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = hub.commit("owner/name", MODEL)
    folder = locate("owner/name")
    hub.down = True
    assert locate("owner/name") == folder
    hub.stop()
    assert locate("owner/name") == folder
    assert locate("owner/name", revision=commit) == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate("owner/name") == folder


def test_no_connection_and_no_copy_is_said_plainly(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # huggingface_hub waits between its attempts
    hub.down = True
    message = error_of(lambda: locate("owner/name"))
    assert "status 503" in message and "try again later" in message
    hub.stop()
    for revision in (None, "0" * 40):
        message = error_of(lambda revision=revision: locate("owner/name", revision=revision))
        assert f"cannot reach {hub.url}" in message and "HF_ENDPOINT" in message
        assert "did you mean" not in message
    assert "did you mean" not in error_of(lambda: locate("gpt2"))  # that is its name
    saved_model(Path("models/reviews"))
    assert "did you mean 'models/reviews'?" in error_of(lambda: locate("models/revews"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "did you mean 'models/reviews'?" in error_of(lambda: locate("models/revews"))
    for revision in (None, "0" * 40):
        message = error_of(lambda revision=revision: locate("owner/name", revision=revision))
        assert "HF_HUB_OFFLINE is set" in message and constants.HF_HUB_CACHE in message


@pytest.mark.parametrize("listed", [True, False])
def test_half_a_copy_is_not_taken_for_a_model(hub: HubServer, monkeypatch: pytest.MonkeyPatch, listed: bool) -> None:
    hub.commit("owner/name", MODEL)
    folder = locate("owner/name")
    (folder / "config.json").unlink()
    if not listed:  # as another library leaves it that fetched single files
        for path in folder.parents[1].glob("trees/*.json"):
            path.unlink()
        monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {})
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "only a part of the model 'owner/name'" in error_of(lambda: locate("owner/name"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert files_of(locate("owner/name")) == sorted(MODEL)


def test_a_broken_download_goes_on_where_it_stopped(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.commit("owner/name", MODEL)
    hub.cut["model.safetensors"] = [5000, 3000]
    folder = locate("owner/name")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [r.range for r in hub.requests if r.method == "GET" and r.path.endswith("model.safetensors")]
    assert ranges == [None, "bytes=5000-", "bytes=8000-"]


def test_a_download_that_keeps_breaking_says_so_and_can_be_repeated(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.commit("owner/name", MODEL)
    hub.cut["model.safetensors"] = [0] * 20
    message = error_of(lambda: locate("owner/name"))
    assert "the model 'owner/name' broke off" in message and "run this again" in message
    hub.cut.clear()
    hub.requests.clear()
    assert files_of(locate("owner/name")) == sorted(MODEL)
    assert fetched(hub) == ["model.safetensors"]


def test_a_cache_that_cannot_be_written_is_named(hub: HubServer, tmp_path: Path) -> None:
    hub.commit("owner/name", MODEL)
    (tmp_path / "cache").write_text("a file where the cache folder belongs")
    assert "cannot store the model 'owner/name'" in error_of(lambda: locate("owner/name"))


# As users run it: a process of its own, told by the environment


def run(code: str, tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {**kept, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1", **variables}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)


def test_the_environment_says_where_the_hub_and_the_cache_are(hub: HubServer, tmp_path: Path) -> None:
    code = "from sightline.weights.hub import locate; print(locate('owner/name'))"
    hub.commit("owner/name", MODEL)
    hub.repositories["owner/name"].token = SECRET
    online = run(code, tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN=SECRET, TQDM_POSITION="-1")
    folder = Path(online.stdout.strip())  # the folder and nothing else: the progress bars go to stderr
    assert files_of(folder) == sorted(MODEL) and folder.is_relative_to(tmp_path / "home"), online.stderr
    assert "Fetching" in online.stderr and SECRET not in online.stderr
    again = run(code, tmp_path, HF_ENDPOINT=hub.url, HF_TOKEN=SECRET, TQDM_POSITION="-1")
    assert (again.stdout, again.stderr) == (online.stdout, "")
    hub.stop()
    offline = run(code, tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert (offline.stdout, offline.stderr) == (online.stdout, "")


def test_a_local_folder_costs_no_import_of_the_hub_library(tmp_path: Path) -> None:
    saved_model(tmp_path / "tuned")
    code = (
        "import sys; from sightline.weights.hub import locate; locate('./tuned');"
        "print([name for name in sys.modules if name.split('.')[0] in ('huggingface_hub', 'torch', 'httpx2')])"
    )
    result = run(code, tmp_path)
    assert result.stdout.strip() == "[]", result.stderr
