"""The plug-in for pytest: fixtures, the report, also from several processes, and nothing for those who use neither."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

MODELS = """
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self, ahead=0):
            super().__init__()
            torch.manual_seed(0)
            self.table, self.ahead = nn.Embedding(17, 4), ahead

        def forward(self, ids):
            return self.table(ids).cumsum(1).roll(-self.ahead, 1)
"""
TESTS = """
    from models import Model

    def test_good(assert_causal):
        assert_causal(Model(), lengths=(1, 2, 8))

    def test_bad(assert_causal):
        assert_causal(Model(ahead=1), lengths=(1, 2, 8))

    def test_alone(assert_batch_independent):
        assert_batch_independent(Model(), lengths=(1, 2, 8))
"""
PLUGIN = ["-p", "sightline.pytest_plugin", "-p", "no:cacheprovider"]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makepyfile(models=MODELS, test_models=TESTS)
    monkeypatch.syspath_prepend(str(pytester.path))
    monkeypatch.delitem(sys.modules, "models", raising=False)
    return pytester


def test_asserts_are_fixtures_and_a_report_is_written(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*PLUGIN, "--sightline-report", "out/report.html")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*Model: assert_causal fails: *", "*likely: *"])
    result.stdout.fnmatch_lines(["sightline: 1 of 3 asserts fails. out/report.html"])
    page = (suite.path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1 of 3 asserts fails." in page and "test_models.py::test_bad" in page and "<svg" in page


def test_a_report_that_cannot_be_written_hides_no_result(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*PLUGIN, "-k", "good", "--sightline-report", ".")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["sightline: The one assert holds. cannot write *"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR and "INTERNALERROR" not in result.stdout.str()


def test_every_assert_has_its_fixture(suite: pytest.Pytester) -> None:
    from sightline import testing

    fixtures = suite.runpytest_inprocess(*PLUGIN, "--fixtures", "-q").stdout.str()
    assert all(name in fixtures for name in testing.__all__)


def test_workers_hand_over_what_they_found(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess(*PLUGIN, "-n", "2", "--sightline-report", "report.html")
    result.assert_outcomes(passed=2, failed=1)
    assert "1 of 3 asserts fails." in (suite.path / "report.html").read_text(encoding="utf-8")


def test_without_the_option_nothing_is_kept_or_written(suite: pytest.Pytester) -> None:
    from sightline.probing.suite import RECORD

    suite.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=2, failed=1)
    assert not RECORD.on and not list(Path(suite.path).glob("*.html"))


def test_it_is_light_for_those_who_do_not_use_it(pytester: pytest.Pytester) -> None:
    """No torch while tests are collected, nor where the report has nothing to say yet."""
    pytester.makepyfile(
        test_light="""
            import sys

            def test_light():
                assert not {'torch', 'numpy'} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=1)
    pytester.runpytest_subprocess(*PLUGIN, "--sightline-report", "report.html").assert_outcomes(passed=1)
    program = "import sightline.pytest_plugin, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "sightline.pytest_plugin" in loaded and not {"torch", "numpy", "sightline.testing"} & set(loaded)
