"""The answers of docs/questions.md are true: every block runs, and prints what the page shows."""

import re
from pathlib import Path

from readme import Reader

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
WITHIN = 0.25  # of themselves: another processor trains to slightly other numbers


def test_every_answer_runs_as_written(tmp_path: Path) -> None:
    assert not (problems := Reader(tmp_path, ROOT, within=WITHIN).read(PAGE)), "\n" + "\n\n".join(problems)


def test_every_question_is_answered_and_every_answer_shown() -> None:
    """A heading that asks, a plain answer, and a block that proves it."""
    asked = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(asked) >= 10
    for section in asked:
        question, _, answer = section.partition("\n")
        assert question.endswith("?"), question
        plain, fence, _ = answer.partition("```")
        assert fence, f"nothing is shown: {question}"
        assert len(plain.strip()) > 40, f"no plain answer: {question}"


def test_the_contents_lead_to_the_questions() -> None:
    def anchor(heading: str) -> str:
        return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

    headings = {anchor(heading) for heading in re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) == headings
