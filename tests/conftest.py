"""What all tests share: how hypothesis runs here, and the switch that takes the regular lane out.

``pytest --no-lane`` lets h11 read every head of the run. Whatever a test says about requests has
to hold there as well: the regular lane may be faster, and nothing else.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from trillium_trio.codec import _head

# A shell without job control starts what it puts into the background with these two ignored, and
# a server leaves ignored signals alone. Whoever runs the tests like that still means to test them.
for _ignorable in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_ignorable) is signal.SIG_IGN:
        signal.signal(_ignorable, signal.default_int_handler)

# No deadline: on a loaded two-core machine a slow example says nothing about the code.
settings.register_profile("default", deadline=None)
# In CI the failing example has to be in the log, because no example database survives the run.
settings.register_profile("ci", deadline=None, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-lane",
        action="store_true",
        help="read every request head with h11; processes that a test starts are not affected",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "takes_lane: the regular lane has to be there; deselected by --no-lane"
    )
    if config.getoption("no_lane"):
        patch = pytest.MonkeyPatch()
        config.add_cleanup(patch.undo)
        patch.setattr(_head, "read_regular", lambda *_: None)


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("no_lane"):
        return "heads: all read by h11; tests that want the regular lane taken are deselected"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("no_lane"):
        deselected = [each for each in items if each.get_closest_marker("takes_lane")]
        config.hook.pytest_deselected(items=deselected)
        items[:] = [each for each in items if each not in deselected]
