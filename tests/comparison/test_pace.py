"""How long the rest takes."""

from sightline.comparison.pace import Pace


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_at_first_the_plan_is_believed_and_then_the_clock() -> None:
    clock = _Clock()
    pace = Pace(100.0, clock)
    assert pace.left() == 100.0 and pace.share() == 0.0
    clock.now = 100.0
    pace.done(50.0)  # everything takes twice as long as planned
    assert pace.share() == 0.5 and 85 < pace.left() < 100
    pace.done(50.0)
    assert pace.left() == 0.0 and pace.share() == 1.0


def test_what_was_known_counts_as_done_and_says_nothing_of_the_pace() -> None:
    clock = _Clock()
    pace = Pace(100.0, clock)
    pace.known(80.0)
    assert pace.share() == 0.8 and pace.left() == 20.0
    clock.now = 10.0
    assert pace.share(under_way=10.0) == 0.9 and pace.left(under_way=10.0) == 10.0
