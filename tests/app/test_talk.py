"""How the command line speaks."""

import pytest

from sightline.app import talk


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("name it with --label (label=…)", "name it with --label"),
        ("with --text and --label (text=…, label=…)", "with --text and --label"),
        ("unless --kind numbers (kind='numbers') is given", "unless --kind numbers is given"),
        ("leave out --no-header (header=False)", "leave out --no-header"),
        ("no limit by --budget 0 (budget=None)", "no limit by --budget 0"),
        ("has no column 'a (b=c)' (for --text): its columns", "has no column 'a (b=c)' (for --text): its columns"),
    ],
)
def test_what_is_for_python_is_left_out(said: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    talk.say(said)
    assert capsys.readouterr().err == f"{shown}\n"
