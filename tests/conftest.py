"""What all tests share: how hypothesis runs here, and the switches that take a fast path out.

``pytest --no-lane`` lets h11 read every head of the run. Whatever a test says about requests has
to hold there as well: the regular lane may be faster, and nothing else.

``pytest --no-poller`` lets every connection wait with trio, as where there is no epoll;
``pytest --all-poller`` lets every connection of a server wait at its poller, however few are ready.
As a rule the load decides, and in a test that is too small to let any wait there.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

from trillium_trio.codec import _head
from trillium_trio.transport import _poller

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
    parser.addoption(
        "--no-poller",
        action="store_true",
        help="let connections wait with trio alone; processes are not affected",
    )
    parser.addoption(
        "--all-poller",
        action="store_true",
        help="let connections of a server wait at its poller alone; processes are not affected",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "takes_lane: the regular lane has to be there; deselected by --no-lane"
    )
    config.addinivalue_line(
        "markers", "needs_poller: deselected by --no-poller and where there is no epoll"
    )
    config.addinivalue_line(
        "markers", "needs_trials: the poller has to decide; deselected by --all-poller"
    )
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if config.getoption("no_lane"):
        patch.setattr(_head, "read_regular", lambda *_: None)
    if config.getoption("no_poller"):
        patch.setattr(_poller, "_make_epoll", None)
    if config.getoption("all_poller"):
        for name in ("_TRIAL_AFTER", "_TO_BEGIN", "_TO_GO_ON"):
            patch.setattr(_poller, name, 0)


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = []
    if config.getoption("no_lane"):
        lines.append("heads: all read by h11; tests that want the regular lane are deselected")
    if config.getoption("no_poller"):
        lines.append("poller: none; tests that want one are deselected")
    if config.getoption("all_poller"):
        lines.append("poller: always; tests that want it to decide are deselected")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unwanted = set()
    if config.getoption("no_lane"):
        unwanted.add("takes_lane")
    if _poller._make_epoll is None:
        unwanted.add("needs_poller")
    if config.getoption("all_poller"):
        unwanted.add("needs_trials")
    deselected = [each for each in items if unwanted & {mark.name for mark in each.iter_markers()}]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        gone = set(deselected)
        items[:] = [each for each in items if each not in gone]
