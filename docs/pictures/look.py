"""Takes look.png, the picture of docs/look.md: the page of `sightline look`, on a desk and on two telephones.

    python docs/pictures/look.py                   # some minutes; needs chromium

A BERT of 6 layers learns the 48 sentences that ship inside by heart, so that there is something to see.
"""

import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import sightline as sl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))

from two_masks import learn  # noqa: E402  # an example, which is no package

TEXT = "The pizza was fantastic. The restaurant is [MASK]."
STEPS = 250
PANELS = (("", 860, "light"), ("#heads", 375, "light"), ("#lens", 375, "dark"))  # where a page begins, pixels, scheme
HEIGHT, SPACE = 1180, 22


def taught() -> sl.Model:
    """A small BERT that knows the sentences."""
    torch.manual_seed(0)
    sentences = files("sightline").joinpath("data", "demo.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = sl.learn_tokenizer(sentences, kind="wordpiece", vocabulary=400)
    sizes = {"layers": 6, "attention_heads": 8, "positions": 64, "dropout": 0.0, "attention_dropout": 0.0}
    model = sl.build("bert", "tiny", tokenizer=tokenizer, seed=0, **sizes)
    learn(model, sentences, STEPS)
    return model


def side_by_side(page: Path) -> str:
    """A page that shows the other one several times."""
    frames = "".join(
        f'<iframe src="{page.name}{place}" style="width:{width}px;color-scheme:{scheme}"></iframe>'
        for place, width, scheme in PANELS
    )
    style = f"body{{margin:{SPACE}px;display:flex;gap:{SPACE}px;background:#d9dde3}}"
    frame = f"iframe{{height:{HEIGHT}px;border:0;border-radius:10px;flex:none}}"
    return f"<!doctype html><meta charset=utf-8><style>{style}{frame}</style>{frames}"


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("no chromium is installed; on Debian and Ubuntu: apt-get install chromium")
    with TemporaryDirectory() as name:
        folder = Path(name)
        page = sl.look(taught(), TEXT, name="a small BERT").save(folder / "look.html")
        (folder / "all.html").write_text(side_by_side(page), encoding="utf-8")
        width = sum(width for _, width, _ in PANELS) + SPACE * (len(PANELS) + 1)
        quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        window = (f"--window-size={width},{HEIGHT + 2 * SPACE}", "--virtual-time-budget=5000")
        place = (f"--user-data-dir={folder / 'home'}", f"--screenshot={HERE / 'look.png'}")
        command = [program, *quiet, *window, *place, (folder / "all.html").as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    print(HERE / "look.png")


if __name__ == "__main__":
    main()
