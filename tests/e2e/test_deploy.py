"""The files of examples/deploy parse, name settings that exist and leave time for a drain."""

from __future__ import annotations

import dataclasses
import json
import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from trillium_trio import Config, HttpConfig

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"

# What each is killed after, where the file does not say so itself.
DOCKER_STOP_SECONDS = 10.0

VARIABLES = {
    f"TRILLIUM_{field.name.upper()}"
    for settings in (Config, HttpConfig)
    for field in dataclasses.fields(settings)
}


def unit(name: str) -> ConfigParser:
    # Not strict: systemd takes a key more than once. Kept as written: its keys have capitals.
    parser = ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its documentation does
    assert parser.read(DEPLOY / name)
    return parser


def pod() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
    [deployment] = [each for each in documents if each["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


def environment(name: str) -> dict[str, str]:
    """Read the TRILLIUM_ variables that a file sets, however it writes them."""
    text = (DEPLOY / name).read_text("utf-8")
    return dict(re.findall(r"\b(TRILLIUM_\w+)(?:=|, value: \")([\d.]+)", text))


def time_to_end(name: str) -> float:
    """Add up how long a server may take from the signal to its end, in seconds."""
    variables = environment(name)
    return sum(
        float(variables.get(f"TRILLIUM_{setting}", default))
        # The command line's own default of --drain-timeout is 30.
        for setting, default in (
            ("DRAIN_DELAY", Config().drain_delay),
            ("DRAIN_TIMEOUT", 30.0),
            ("CLEANUP_TIMEOUT", Config().cleanup_timeout),
        )
    )


@pytest.mark.parametrize("name", ["shop.service", "kubernetes.yaml", "Dockerfile"])
def test_variables_are_those_of_settings(name: str) -> None:
    assert environment(name)
    assert environment(name).keys() <= VARIABLES


def test_systemd_gives_time_and_is_told() -> None:
    service = unit("shop.service")["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    assert time_to_end("shop.service") < float(service["TimeoutStopSec"])
    socket = unit("shop.socket")["Socket"]
    assert socket["ListenStream"]
    # Accept=yes would start a process per connection.
    assert "Accept" not in socket
    assert unit("shop.service")["Unit"]["Requires"] == "shop.socket"


def test_kubernetes_gives_time_and_asks_two_questions() -> None:
    spec = pod()
    [container] = spec["containers"]
    readiness, liveness = container["readinessProbe"], container["livenessProbe"]
    assert time_to_end("kubernetes.yaml") < spec["terminationGracePeriodSeconds"]
    assert readiness["httpGet"]["path"] == "/readyz"
    assert liveness["httpGet"]["path"] == "/livez"
    delay = float(environment("kubernetes.yaml")["TRILLIUM_DRAIN_DELAY"])
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < delay
    variables = {each["name"]: each["value"] for each in container["env"]}
    [port] = container["ports"]
    assert variables["PORT"] == str(port["containerPort"])
    assert variables["HOST"] == "0.0.0.0"


def test_a_container_gets_the_signal_and_has_time() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    assert json.loads(command)[0] == "trillium-trio"
    assert time_to_end("Dockerfile") < DOCKER_STOP_SECONDS


def test_balancers_check_readiness_and_keep_alive_shorter_than_we_do() -> None:
    haproxy = (DEPLOY / "haproxy.cfg").read_text("utf-8")
    assert re.search(r"^ +option httpchk GET /readyz$", haproxy, re.MULTILINE)
    nginx = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert nginx.count("{") == nginx.count("}")
    [kept] = re.findall(r"^ +keepalive_timeout (\d+)s;$", nginx, re.MULTILINE)
    assert float(kept) < HttpConfig().idle_timeout
