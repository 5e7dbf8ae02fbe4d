"""The plug-in for pytest: the asserts of `sightline.testing` as fixtures, and a report of what they found.

    def test_model(assert_causal):
        assert_causal(make())

    pytest --sightline-report report.html

pytest imports this file in every project that has Sightline installed, so it imports nothing else before it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

FOR_WORKERS = "sightline_checked"
NOT_WRITTEN = pytest.StashKey[str]()  # why there is no report


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option."""
    parser.getgroup("sightline").addoption(
        "--sightline-report",
        metavar="FILE.html",
        type=Path,
        help="Write a page with what the asserts of sightline.testing checked and found.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to keep what is found, if somebody wants to read it."""
    if config.getoption("--sightline-report") is not None:
        from sightline.probing.suite import RECORD

        RECORD.on = True
        RECORD.kept.clear()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Keep nothing more."""
    if config.getoption("--sightline-report") is not None:
        from sightline.probing.suite import RECORD

        RECORD.on = False


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """What a worker of pytest-xdist found comes to the process that writes the report."""
    found = getattr(node, "workeroutput", {}).get(FOR_WORKERS)
    if found:
        from sightline.probing.suite import RECORD, Checked

        RECORD.kept += [Checked.from_dict(each) for each in found]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report; a worker of pytest-xdist hands over what it found."""
    path = session.config.getoption("--sightline-report")
    if path is None:
        return
    from sightline.probing.suite import RECORD

    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[FOR_WORKERS] = [each.as_dict() for each in RECORD.kept]
        return
    from sightline.errors import SightlineError
    from sightline.probing.draw_page import save
    from sightline.probing.suite_page import render

    try:
        save(render(RECORD.kept), session.config.invocation_params.dir / path)
    except SightlineError as error:  # what the tests found is worth more than its report
        session.config.stash[NOT_WRITTEN] = str(error)
        session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the report is."""
    path = config.getoption("--sightline-report")
    if path is not None:
        from sightline.probing.suite import RECORD
        from sightline.probing.suite_page import verdict

        where = config.stash.get(NOT_WRITTEN, str(path))
        terminalreporter.write_line(f"sightline: {verdict(RECORD.kept)} {where}")


@pytest.fixture(scope="session")
def assert_causal() -> Any:
    """`sightline.testing.assert_causal`."""
    from sightline.testing import assert_causal

    return assert_causal


@pytest.fixture(scope="session")
def assert_bidirectional() -> Any:
    """`sightline.testing.assert_bidirectional`."""
    from sightline.testing import assert_bidirectional

    return assert_bidirectional


@pytest.fixture(scope="session")
def assert_mask() -> Any:
    """`sightline.testing.assert_mask`."""
    from sightline.testing import assert_mask

    return assert_mask


@pytest.fixture(scope="session")
def assert_padding_inert() -> Any:
    """`sightline.testing.assert_padding_inert`."""
    from sightline.testing import assert_padding_inert

    return assert_padding_inert


@pytest.fixture(scope="session")
def assert_cache_exact() -> Any:
    """`sightline.testing.assert_cache_exact`."""
    from sightline.testing import assert_cache_exact

    return assert_cache_exact


@pytest.fixture(scope="session")
def assert_batch_independent() -> Any:
    """`sightline.testing.assert_batch_independent`."""
    from sightline.testing import assert_batch_independent

    return assert_batch_independent
