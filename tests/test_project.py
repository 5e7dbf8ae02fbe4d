"""What pyproject.toml promises and what constraints.txt installs belong together."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sightline

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in re.findall(r"^([^#\s]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
}


def test_every_dependency_is_bounded_from_both_sides() -> None:
    requirements = [Requirement(line) for group in (PROJECT["dependencies"], *EXTRAS.values()) for line in group]
    for requirement in requirements:
        signs = {one.operator for one in requirement.specifier}
        assert signs == {"~="} or signs == {">=", "<"}, requirement


def test_what_ci_installs_is_within_the_bounds() -> None:
    for line in [*PROJECT["dependencies"], *EXTRAS["test"]]:
        requirement = Requirement(line)
        assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_constraints_hold_for_every_computer() -> None:
    """No local versions (`+cpu`), no paths, no addresses: a pin is a name and a public version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) == len(PINS)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)


def test_the_package_says_its_version() -> None:
    assert sightline.__version__ == PROJECT["version"]


def test_completion_offers_what_is_public_and_nothing_else() -> None:
    assert {name for name in dir(sightline) if not name.startswith("_")} == set(sightline.__all__)
    assert all(getattr(sightline, name) is not None for name in sightline.__all__)
