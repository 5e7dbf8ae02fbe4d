"""Tables in documents: each stands between two marks that name it, and is written by the script that measured it."""

from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def write(page: str, name: str, lines: list[str]) -> None:
    """Put the lines where the page keeps those of this name."""
    path = DOCS / page
    begin, end = f"<!-- {name} begin -->\n", f"<!-- {name} end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"docs/{page} has no place for {name!r}: put {begin.strip()} and {end} where it belongs")
    path.write_text(before + begin + "\n".join(lines).rstrip("\n") + "\n" + end + after, encoding="utf-8")
