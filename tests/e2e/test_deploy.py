"""The files of examples/deploy parse, name settings that exist and leave time for a drain."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from trillium_trio import Config, HttpConfig
from trillium_trio.supervisor import SupervisorConfig

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"

# What "docker stop" kills after.
DOCKER_STOP_SECONDS = 10.0
# What a supervisor gives a worker beyond its own time limits (SU-7).
SUPERVISOR_SECONDS = 5.0

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SYSTEMD_ANALYZE = shutil.which("systemd-analyze")

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


def deployment() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
    [found] = [each["spec"] for each in documents if each["kind"] == "Deployment"]
    return dict(found)


def pod() -> dict[str, Any]:
    found: dict[str, Any] = deployment()["template"]["spec"]
    return found


def environment(name: str) -> dict[str, str]:
    """Read the TRILLIUM_ variables that a file sets, however it writes them."""
    text = (DEPLOY / name).read_text("utf-8")
    return dict(re.findall(r"\b(TRILLIUM_\w+)(?:=|: |, value: )\"?([\d.]+)", text))


def setting(name: str, field: str) -> float:
    # The command line's own default of --drain-timeout is 30.
    default = 30.0 if field == "drain_timeout" else getattr(Config(), field)
    return float(environment(name).get(f"TRILLIUM_{field.upper()}", default))


def time_to_end(name: str) -> float:
    """Return how long the processes may take from the signal to their end, in seconds.

    Clean-up counts twice, for requests that are cut and for lifespans, and a second for their
    cancellation.
    """
    one = setting(name, "drain_delay") + setting(name, "drain_timeout")
    one += 2 * setting(name, "cleanup_timeout") + 1.0
    has_workers = re.search(r"^[^#]*--workers", (DEPLOY / name).read_text("utf-8"), re.MULTILINE)
    return one + SUPERVISOR_SECONDS if has_workers else one


def compose() -> dict[str, Any]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    found: dict[str, Any] = services["shop"]
    return found


def time_until_kill(name: str) -> float:
    match name:
        case "kubernetes.yaml":
            [container] = pod()["containers"]
            assert "lifecycle" not in container, "its preStop hook has to be counted"
            return float(pod()["terminationGracePeriodSeconds"])
        case "Dockerfile":
            return DOCKER_STOP_SECONDS
        case "compose.yaml":
            return float(compose()["stop_grace_period"].removesuffix("s"))
        case _:
            return float(unit(name)["Service"]["TimeoutStopSec"])


SERVICES = ["shop.service", "shop-workers.service", "shop@.service"]
DEPLOYMENTS = [*SERVICES, "kubernetes.yaml", "Dockerfile", "compose.yaml"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_there_is_time_for_the_drain(name: str) -> None:
    assert environment(name)
    assert environment(name).keys() <= VARIABLES
    assert time_to_end(name) < time_until_kill(name)


def test_every_file_is_checked() -> None:
    others = {"shop.socket", "haproxy.cfg", "nginx.conf", "roll.py"}
    assert {each.name for each in DEPLOY.iterdir() if each.is_file()} == {*DEPLOYMENTS, *others}


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="needs systemd-analyze, of systemd")
def test_systemd_knows_each_line(tmp_path: Path) -> None:
    assert SYSTEMD_ANALYZE is not None
    units = [tmp_path / name.replace("@", "@8081") for name in [*SERVICES, "shop.socket"]]
    for path, name in zip(units, [*SERVICES, "shop.socket"], strict=True):
        text = (DEPLOY / name).read_text("utf-8")
        # It looks for the program.
        path.write_text(text.replace("/srv/shop/.venv/bin/trillium-trio", sys.executable), "utf-8")
    found = subprocess.run(
        [SYSTEMD_ANALYZE, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    # Before 253; it goes on all the same.
    complaints = [line for line in found.stderr.splitlines() if "notify-reload" not in line]
    assert (found.returncode, complaints) == (0, [])


def test_systemd_is_told() -> None:
    service = unit("shop.service")["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "mixed"
    socket = unit("shop.socket")["Socket"]
    assert socket["ListenStream"]
    # Accept=yes would start a process per connection.
    assert "Accept" not in socket
    assert unit("shop.service")["Unit"]["Requires"] == "shop.socket"


def test_workers_under_systemd() -> None:
    service = unit("shop-workers.service")["Service"]
    assert service["Type"] == "notify-reload"
    assert service["NotifyAccess"] == "all"
    assert service["KillMode"] == "control-group"
    assert int(service["FileDescriptorStoreMax"]) >= 1
    start = SupervisorConfig().start_timeout
    assert start < float(service["WatchdogSec"])
    assert start < float(service["TimeoutStartSec"])


def test_kubernetes_asks_two_questions() -> None:
    [container] = pod()["containers"]
    readiness, liveness = container["readinessProbe"], container["livenessProbe"]
    assert readiness["httpGet"]["path"] == "/readyz"
    assert liveness["httpGet"]["path"] == "/livez"
    noticed = readiness["periodSeconds"] * readiness["failureThreshold"]
    assert noticed < setting("kubernetes.yaml", "drain_delay")
    variables = {each["name"]: each["value"] for each in container["env"]}
    [port] = container["ports"]
    assert variables["PORT"] == str(port["containerPort"])
    assert variables["HOST"] == "0.0.0.0"


def test_kubernetes_never_has_fewer_pods() -> None:
    strategy = deployment()["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    assert deployment()["minReadySeconds"] > 0


def test_a_container_gets_the_signal() -> None:
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    [command] = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    assert json.loads(command)[0] == "trillium-trio"
    assert compose()["command"][0] == "trillium-trio"


def test_compose_is_valid() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, DEPLOY / "compose.yaml"], check=True, capture_output=True)


def test_haproxy_notices_before_the_listener_closes() -> None:
    text = (DEPLOY / "haproxy.cfg").read_text("utf-8")
    [check] = re.findall(r"^ +timeout check ([\d.]+)s$", text, re.MULTILINE)
    [interval] = re.findall(r'inter "\$\{INTERVAL-(\d+)ms\}"', text)
    [fall] = re.findall(r"\bfall (\d+)", text)
    noticed = int(fall) * int(interval) / 1000 + float(check)
    assert noticed < setting("shop@.service", "drain_delay")
    ports = re.findall(r"^ +server \w+ .*127.0.0.1:(\d+)", text, re.MULTILINE)
    assert all(f"shop@{port}" in (DEPLOY / "shop@.service").read_text("utf-8") for port in ports)


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy, a package of that name on most systems")
def test_haproxy_knows_each_line(tmp_path: Path) -> None:
    assert HAPROXY is not None
    found = subprocess.run(
        [HAPROXY, "-c", "-f", DEPLOY / "haproxy.cfg"],
        env={"STATS": str(tmp_path / "stats")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "WARNING" not in found.stderr.upper()


def test_balancers_check_readiness_and_keep_alive_shorter_than_we_do() -> None:
    haproxy = (DEPLOY / "haproxy.cfg").read_text("utf-8")
    assert re.search(r"^ +option httpchk GET /readyz$", haproxy, re.MULTILINE)
    nginx = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert nginx.count("{") == nginx.count("}")
    [kept] = re.findall(r"^ +keepalive_timeout (\d+)s;$", nginx, re.MULTILINE)
    assert float(kept) < HttpConfig().idle_timeout
