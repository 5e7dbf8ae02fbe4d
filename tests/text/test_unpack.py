"""What archives hold, and what becomes of those that are cut off, damaged, or far too good at packing."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import InputError
from sightline.text import unpack
from sightline.text.unpack import is_archive, kind_of, members

TEXT = b"".join(b"line %d of a text that packs well enough\n" % number for number in range(2000))
PACKERS: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.compress, ".gz": gzip.compress, ".bz2": bz2.compress}


def tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return made.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def read(path: Path) -> dict[str, bytes]:
    """All that a file holds, by the name without what packed it."""
    return {member.file_name: member.file.read() for member in members(path)}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


FILES = {"one.txt": TEXT, "folder/two.jsonl": b"{}\n", "three.txt.gz": gzip.compress(TEXT[:100])}
HELD = {"one.txt": TEXT, "two.jsonl": b"{}\n", "three.txt": TEXT[:100]}


def test_each_way_to_pack_gives_back_what_was_packed(tmp_path: Path) -> None:
    assert read(write(tmp_path / "plain.txt", TEXT)) == {"plain.txt": TEXT}
    for suffix, packer in PACKERS.items():
        assert read(write(tmp_path / f"text.txt{suffix}", packer(TEXT))) == {"text.txt": TEXT}
        two = packer(TEXT) + packer(b"and more")  # as tools that append write them
        assert read(write(tmp_path / f"two.TXT{suffix.upper()}", two)) == {"two.TXT": TEXT + b"and more"}
    hidden = {".DS_Store": b"x", "__MACOSX/one.txt": b"x", "folder/.hidden": b"x"}
    assert {
        Path(name).name: held for name, held in read(write(tmp_path / "a.zip", zipped(FILES | hidden))).items()
    } == HELD
    for name in ("a.tar", "a.tar.xz", "a.tgz", "a.tar.bz2"):
        content = tar(FILES | hidden)
        for suffix, packer in PACKERS.items():
            if suffix == kind_of(name)[0]:
                content = packer(content)
        found = read(write(tmp_path / name, content))
        assert {Path(name).name: held for name, held in found.items()} == HELD, name  # and neither folder nor link


@pytest.mark.parametrize("cut", [1, 100, 0.5])
@pytest.mark.parametrize("name", ["text.txt.xz", "text.txt.gz", "text.txt.bz2", "texts.tar", "texts.tar.xz", "a.zip"])
def test_what_is_cut_off_says_so(name: str, cut: float, tmp_path: Path) -> None:
    whole = TEXT + bytes(range(256)) * 20  # packs less well, so that the cut is within
    content = {"text.txt": PACKERS.get(Path(name).suffix, bytes)(whole), "texts.tar": tar({"one.txt": whole})}
    content |= {"texts.tar.xz": lzma.compress(tar({"one.txt": whole})), "a.zip": zipped({"one.txt": whole})}
    packed = content.get(name) or content["text.txt"]
    kept = int(len(packed) * cut) if cut < 1 else len(packed) - int(cut)
    if name == "texts.tar" and cut >= 1:
        kept = 1500  # what tar ends with is nothing but zeros
    with pytest.raises(InputError, match=rf"{name}.* (is cut off|is damaged \(.*\)); copy or download it again"):
        read(write(tmp_path / name, packed[:kept]))


def test_what_is_damaged_says_so(tmp_path: Path) -> None:
    for suffix, packer in PACKERS.items():
        packed = bytearray(packer(TEXT))
        packed[len(packed) // 2] ^= 0xFF
        with pytest.raises(InputError, match=rf"bad.txt{suffix} is (damaged|cut off)"):
            read(write(tmp_path / f"bad.txt{suffix}", bytes(packed)))
        with pytest.raises(InputError, match=rf"text.txt{suffix} is damaged"):
            read(write(tmp_path / f"text.txt{suffix}", TEXT))
    with pytest.raises(InputError, match=r"text.zip is damaged \(File is not a zip file\)"):
        read(write(tmp_path / "text.zip", TEXT))
    with pytest.raises(InputError, match=r"text.tar is damaged"):
        read(write(tmp_path / "text.tar", TEXT))
    packed = bytearray(zipped({"one.txt": TEXT}))
    packed[len(packed) // 2] ^= 0xFF
    with pytest.raises(InputError, match=r"a.zip, in it 'one.txt' is damaged"):
        read(write(tmp_path / "a.zip", bytes(packed)))


def test_an_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    for name, content in {"a.zip": zipped({"b.zip": b""}), "a.tar": tar({"b.tar.gz": gzip.compress(tar({}))})}.items():
        with pytest.raises(InputError, match=r"in it 'b\..*' is an archive within an archive; unpack one of them"):
            read(write(tmp_path / name, content))


def test_a_locked_zip_says_so(tmp_path: Path) -> None:
    packed = bytearray(zipped({"one.txt": TEXT}))
    for place in (packed.rfind(b"PK\x03\x04") + 6, packed.rfind(b"PK\x01\x02") + 8):  # the flags of the last entry
        packed[place] |= 1
    with pytest.raises(InputError, match=r"cannot be unpacked .*password"):
        read(write(tmp_path / "a.zip", bytes(packed)))


@pytest.mark.parametrize("name", ["zeros.txt.xz", "zeros.txt.gz", "zeros.txt.bz2", "zeros.zip", "zeros.tar.xz"])
def test_a_bomb_is_stopped(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE", 2**20)
    zeros = bytes(2**23)
    content = {"zeros.zip": zipped({"a.txt": zeros}), "zeros.tar.xz": lzma.compress(tar({"a.txt": zeros}))}
    packed = content.get(name) or PACKERS[Path(name).suffix](zeros)
    read_so_far = 0
    with pytest.raises(InputError, match=rf"{name}.* unpacks to more than 200 times its size"):
        for member in members(write(tmp_path / name, packed)):
            while some := member.file.read(2**16):
                read_so_far += len(some)
    assert read_so_far < 2**22


def test_text_that_packs_well_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE", 2**16)
    text = b"".join(b"%d is a number\n" % number for number in range(100_000))
    for suffix, packer in PACKERS.items():
        assert read(write(tmp_path / f"text.txt{suffix}", packer(text))) == {"text.txt": text}


def test_a_long_archive_is_not_held(tmp_path: Path) -> None:
    """Its entries come one by one, and are forgotten."""
    found = 0
    for member in members(write(tmp_path / "many.tar.gz", gzip.compress(tar({f"{i}.txt": b"x" for i in range(3000)})))):
        assert member.file.read() == b"x"
        found += 1
    assert found == 3000


def test_how_a_file_is_packed() -> None:
    assert kind_of("a.jsonl.XZ") == (".xz", "a.jsonl")
    assert kind_of("folder/a.tgz") == (".gz", "a.tar")
    assert kind_of("a.zip") == (".zip", "a")
    assert kind_of("folder/a.txt") == ("", "a.txt")
    assert all(map(is_archive, ("a.zip", "a.tar", "a.tgz", "a.TAR.XZ", "a.zip.gz")))
    assert not any(map(is_archive, ("a.txt", "a.txt.gz", "zip")))
