"""Here every padded batch is packed, small as it is: otherwise only large ones would be, and none of these are."""

from collections.abc import Iterator

import pytest

from sightline.core import packing


@pytest.fixture(autouse=True, scope="module")
def pack_always() -> Iterator[None]:
    """Whatever is padded, however little that saves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "MOVE", 0)
        patch.setattr(packing, "START", 0)
        yield
