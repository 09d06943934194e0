"""The facts of a listener."""

from __future__ import annotations

import dataclasses

import pytest

from trillium_trio.transport import Listener


@pytest.mark.parametrize(
    ("listener", "name", "url"),
    [
        (
            Listener(kind="tcp", address=("127.0.0.1", 8080)),
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080",
        ),
        (
            Listener(kind="tcp", address=("0.0.0.0", 80), is_tls=True),
            "https://0.0.0.0:80",
            "https://127.0.0.1:80",
        ),
        (Listener(kind="tcp", address=("::", 8080)), "http://[::]:8080", "http://[::1]:8080"),
        (Listener(kind="unix", address="/run/x"), "unix:/run/x", "unix:/run/x"),
        (Listener(kind="tcp", address=("::1", 1), name="web"), "web", "http://[::1]:1"),
        (Listener(kind="unix", address="/run/x", name="web"), "web", "unix:/run/x"),
    ],
)
def test_name_and_url(listener: Listener, name: str, url: str) -> None:
    assert listener.name == str(listener) == name
    assert listener.url == url


def test_it_is_a_value() -> None:
    listener = Listener(kind="unix", address="/run/x")
    assert listener == Listener(kind="unix", address="/run/x")
    assert hash(listener) == hash(Listener(kind="unix", address="/run/x"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        listener.name = "other"  # type: ignore[misc]  # what is tested
