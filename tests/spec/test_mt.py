"""The clauses of docs/spec/metrics.md."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_plain

import trillium_trio as tt
from tests.wire import settled
from trillium_trio.handlers import Figures, Head, MethodOverride, Metrics, Router
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

SECONDS = "http_server_request_duration_seconds"


def samples(metrics: Metrics | Figures) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the page as a client does: the value of each sample by its name and labels."""
    if isinstance(metrics, Figures):
        figures = metrics
        metrics = Metrics()
        metrics.figures = lambda: figures  # type: ignore[method-assign]  # it may be
    found = {}
    for family in parse_plain(metrics.text()):
        for each in family.samples:
            found[each.name, frozenset(each.labels.items())] = each.value
    return found


def value(metrics: Metrics | Figures, name: str, **labels: str) -> float | None:
    """Return the sum of the samples that have these labels among theirs; None: there is none."""
    wanted = set(labels.items())
    all_ = [v for (n, found), v in samples(metrics).items() if n == name and wanted <= found]
    return sum(all_) if all_ else None


def labels_of(metrics: Metrics, name: str = f"{SECONDS}_count") -> list[dict[str, str]]:
    return [dict(labels) for (found, labels) in samples(metrics) if found == name]


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(3)
    return conn.ok("slow")


async def breaks(conn: tt.Conn) -> tt.Conn:
    raise ValueError("boom")


async def pieces() -> AsyncIterator[bytes]:
    yield b"12345"
    await trio.sleep(60)
    yield b"67890"


async def endless(conn: tt.Conn) -> tt.Conn:
    return conn.ok(tt.Body.streaming(pieces()))


async def severs(conn: tt.Conn) -> tt.Conn:
    async def body() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ValueError("the body")

    return conn.ok(tt.Body.streaming(body()))


def site(metrics: Metrics) -> tuple[tt.Handler, ...]:
    router = Router()
    router.get("/users/{id}", b"a user")
    router.get("/slow", slow).get("/breaks", breaks).get("/endless", endless)
    router.get("/severs", severs).post("/users/{id}", b"changed").get("/metrics", metrics.page)
    return (metrics, router)


async def test_mt_1_a_request_is_measured_once(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    async with TestServer(site(metrics)) as app:
        assert (await app.post("/users/1", body=b"x" * 1000)).status == 200
        assert (await app.get("/slow")).body == b"slow"
    assert value(metrics, f"{SECONDS}_count") == 2
    assert value(metrics, f"{SECONDS}_sum") == pytest.approx(3)
    assert value(metrics, f"{SECONDS}_bucket", http_route="/slow", le="2.5") == 0
    assert value(metrics, f"{SECONDS}_bucket", http_route="/slow", le="5.0") == 1
    received, sent = (f"http_server_{each}_body_size_bytes" for each in ("request", "response"))
    assert value(metrics, f"{received}_sum") == 1000
    assert value(metrics, f"{received}_bucket", le="0.0") == 1
    assert value(metrics, f"{received}_bucket", http_request_method="POST", le="1024.0") == 1
    assert value(metrics, f"{received}_bucket", http_request_method="POST", le="256.0") == 0
    assert value(metrics, f"{sent}_sum") == len(b"changed") + len(b"slow")


async def test_mt_1_also_if_a_handler_in_front_has_answered() -> None:
    metrics = Metrics()
    async with TestServer((b"first", metrics)) as app:
        await app.get("/")
    assert value(metrics, f"{SECONDS}_count") == 1
    assert value(metrics, "http_server_active_requests") is None


async def test_mt_2_labels() -> None:
    metrics = Metrics()
    async with TestServer(site(metrics)) as app:
        await app.get("/users/1")
        await app.get("/users/2?secret=1")
    assert labels_of(metrics) == [
        {
            "http_request_method": "GET",
            "http_response_status_code": "200",
            "http_route": "/users/{id}",
            "url_scheme": "http",
            "network_protocol_version": "1.1",
        }
    ]
    assert "secret" not in metrics.text()


async def test_mt_2_paths_and_methods_of_clients_are_no_labels() -> None:
    metrics = Metrics()
    async with TestServer(site(metrics)) as app:
        for n in range(5):
            assert (await app.get(f"/nowhere/{n}")).status == 404
            await app.request(f"M{n}", "/")
    methods = {(each["http_request_method"], each.get("http_route")) for each in labels_of(metrics)}
    assert methods == {("GET", None), ("_OTHER", None)}
    assert "nowhere" not in metrics.text()


@pytest.mark.parametrize("change", [Head(), MethodOverride()], ids=["Head", "MethodOverride"])
async def test_mt_2_the_method_is_the_one_that_was_sent(change: tt.Handler) -> None:
    metrics = Metrics()
    method = "HEAD" if isinstance(change, Head) else "POST"
    async with TestServer((metrics, change, b"hello")) as app:
        await app.request(method, "/?_method=DELETE")
    assert [each["http_request_method"] for each in labels_of(metrics)] == [method]


async def test_mt_2_how_a_response_has_ended(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    async with TestServer(site(metrics), tt.Config(drain_timeout=1)) as app:
        assert (await app.get("/breaks")).status == 500
        with pytest.raises(ConnectionResetError):
            await app.get("/severs")
        peer = app.connect()
        await peer.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        peer.reset()
        await settled()
        await trio.sleep(61)
        await app.connect().send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        await app.shut_down()
    errors = {each["http_route"]: each["error_type"] for each in labels_of(metrics)}
    assert errors == {
        "/breaks": "500",
        "/severs": "failed",
        "/endless": "disconnected",
        "/slow": "cut",
    }


async def test_mt_3_series_are_bounded() -> None:
    metrics = Metrics(max_series=3)
    router = Router()
    for n in range(6):
        router.get(f"/{n}", b"x")
    kinds = metrics.counter("kinds", "Kinds.", labels=["kind"])
    async with TestServer((metrics, router)) as app:
        for n in [0, 1, 2, 3, 4, 5, 5, 0]:
            await app.get(f"/{n}")
            kinds.add(kind=n)
    for name, label in ((f"{SECONDS}_count", "http_route"), ("kinds_total", "kind")):
        found = labels_of(metrics, name)
        assert [each.get(label, "").strip("/") for each in found] == ["0", "1", "2", ""]
        assert found[-1] == {"otel_metric_overflow": "true"}
        assert value(metrics, name, otel_metric_overflow="true") == 4
        assert value(metrics, name) == 8


async def test_mt_4_active_requests(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    name = "http_server_active_requests"
    async with TestServer(site(metrics)) as app:
        peer = app.connect()
        await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        assert value(metrics, name, http_request_method="GET", url_scheme="http") == 1
        await peer.receive_response()
        await settled()
        assert value(metrics, name) is None


async def test_mt_5_servers_are_measured(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    config = tt.Config(drain_timeout=60)
    assert value(metrics, "trillium_drain_state") == 0
    async with TestServer(site(metrics), config) as app:
        async with TestServer((metrics, b"other")) as other:
            await other.get("/")
            assert value(metrics, "trillium_connection_events_total", event="accepted") == 1
        assert value(metrics, "trillium_connection_events_total", event="accepted") == 1
        idle, peer = app.session(), app.connect()
        await idle.get("/users/1")
        await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        assert value(metrics, "trillium_connections", state="idle") == 1
        assert value(metrics, "trillium_connections", state="busy") == 1
        assert value(metrics, "trillium_connection_events_total", event="accepted") == 3
        assert value(metrics, "trillium_guards") == 1
        [guard] = labels_of(metrics, "trillium_guards")
        assert guard["site"].startswith("driver/_http1.py:")
        assert value(metrics, "trillium_drain_state") == 0
        done = app.shut_down()
        await trio.sleep(1)
        assert value(metrics, "trillium_drain_state") == 1
        await peer.receive_response()
        assert (await done).is_clean
    assert value(metrics, "trillium_drain_state") == 2
    assert value(metrics, "trillium_connection_events_total", event="accepted") == 3
    assert (value(metrics, "trillium_loop_lag_seconds_count") or 0) >= 3


@pytest.mark.parametrize("reason", ["deadline", "cancelled"])
async def test_mt_5_what_was_cut(reason: str, autojump_clock: MockClock) -> None:
    metrics = Metrics()
    async with TestServer(site(metrics), tt.Config(drain_timeout=1)) as app:
        await app.connect().send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        if reason == "cancelled":
            await app.swansong.cancel("enough")
        else:
            await app.shut_down()
    assert value(metrics, "trillium_requests_cut_total", reason=reason) == 1
    assert value(metrics, "trillium_requests_cut_total") == 1


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html, */*;q=0.8", "text/plain; version=0.0.4; charset=utf-8"),
        (PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
async def test_mt_6_two_formats(accept: str | None, kind: str) -> None:
    metrics = Metrics()
    odd = metrics.counter("odd", 'A "help"\nof \\ two lines.', labels=["name"])
    odd.add(name='a"b\\c\nd\u2028é')
    async with TestServer(site(metrics)) as app:
        await app.get("/users/1")
        headers = {} if accept is None else {"accept": accept}
        response = await app.get("/metrics", headers=headers)
    assert response.headers["content-type"] == kind
    assert (response.headers["vary"], response.headers["cache-control"]) == ("Accept", "no-store")
    parse = parse_openmetrics if kind.startswith("app") else parse_plain
    families = {family.name: family for family in parse(response.body.decode())}
    assert families[SECONDS].type == "histogram"
    assert families["odd"].type == "counter"
    [sample] = families["odd"].samples
    assert sample.labels == {"name": 'a"b\\c\nd\u2028é'}
    assert sample.value == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**60), 2**60)


@given(st.lists(st.tuples(TEXT, NUMBERS), max_size=5, unique_by=lambda each: each[0]), TEXT)
def test_mt_6_the_clients_parsers_read_any_value(rows: list[tuple[str, float]], text: str) -> None:
    metrics = Metrics()
    gauge = metrics.gauge("g", text, labels=["name"])
    sizes = metrics.histogram("h", text, bounds=[1, 10], labels=["name"])
    for name, number in rows:
        gauge.set(number, name=name)
        sizes.observe(abs(number), name=name)
    for openmetrics, parse in ((True, parse_openmetrics), (False, parse_plain)):
        families = {each.name: each for each in parse(metrics.text(openmetrics=openmetrics))}
        read = {s.labels["name"]: s.value for s in families["g"].samples} if rows else {}
        assert read == {name: pytest.approx(float(number)) for name, number in rows}


async def test_mt_6_a_label_that_cannot_be_encoded() -> None:
    metrics = Metrics()
    metrics.counter("odd", "Odd.", labels=["name"]).add(name="a\ud800b")
    async with TestServer(metrics.page) as app:
        assert 'odd_total{name="a?b"} 1' in (await app.get("/")).body.decode()


def test_mt_7_metrics_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    plain = metrics.counter("plain", "Plain.")
    orders = metrics.counter("shop_orders", "Orders.", labels=["kind", "country"])
    plain.add()
    plain.add(2.5)
    orders.add(country="de", kind="book")
    orders.add(kind="book", country="de")
    metrics.gauge("waiting", "Waiting.").set(3)
    metrics.gauge("asked", "Asked.", ask=lambda: 7)
    metrics.gauge("broken", "Broken.", ask=lambda: 1 / 0)
    sizes = metrics.histogram("sizes", "Sizes.", bounds=[1, 2])
    for each in (1, 1.5, 9):
        sizes.observe(each)
    assert value(metrics, "plain_total") == 3.5
    assert value(metrics, "shop_orders_total", kind="book", country="de") == 2
    assert value(metrics, "waiting") == 3
    assert value(metrics, "asked") == 7
    assert math.isnan(value(metrics, "broken") or 0)
    assert "the gauge broken cannot be read" in caplog.text
    assert [value(metrics, "sizes_bucket", le=each) for each in ("1.0", "2.0", "+Inf")] == [1, 2, 3]
    assert value(metrics, "sizes_sum") == 11.5


def test_mt_7_mistakes() -> None:
    metrics = Metrics()
    orders = metrics.counter("orders", "Orders.", labels=["kind"])
    for labels in ({}, {"kind": "a", "other": "b"}, {"other": "b"}):
        with pytest.raises(TypeError, match="orders has the labels"):
            orders.add(1, **labels)
    with pytest.raises(ValueError, match="only grows"):
        orders.add(-1, kind="a")
    for name in ("orders", "trillium_x", "http_server_x", "a-b", "", "a b", "x_total", "x_bucket"):
        with pytest.raises(tt.ConfigError):
            metrics.gauge(name, "Wrong.")
    for label in ("le", "__name", "a-b"):
        with pytest.raises(tt.ConfigError, match="no name"):
            metrics.counter("fine", "Fine.", labels=[label])
    for bounds in ([], [2, 1], [1, 1]):
        with pytest.raises(tt.ConfigError, match="must rise"):
            metrics.histogram("fine", "Fine.", bounds=bounds)
    with pytest.raises(tt.ConfigError, match="has no labels"):
        metrics.gauge("fine", "Fine.", labels=["x"], ask=lambda: 1)
    with pytest.raises(tt.ConfigError, match="max_series"):
        Metrics(max_series=0)


async def test_mt_8_figures_add_up_and_never_fall(autojump_clock: MockClock) -> None:
    workers = [Metrics(), Metrics()]
    ended, last = Figures(), [Figures(), Figures()]
    seen = 0.0
    for round_ in range(3):
        for n, metrics in enumerate(workers):
            async with TestServer(site(metrics)) as app:
                await app.get(f"/users/{round_}")
                # As it would come from a worker: what is new, as JSON.
                new = json.dumps(metrics.figures().minus(last[n]).as_json())
                last[n] = last[n].totals().plus(Figures.from_json(json.loads(new)))
                assert last[n] == metrics.figures()
        if round_ == 1:  # one dies, and another takes its place
            ended = ended.plus(last[0].totals())
            workers[0], last[0] = Metrics(), Figures()
        total = value(sum(last, start=ended), f"{SECONDS}_count") or 0
        assert total == seen + 2
        seen = total


def test_mt_8_gauges() -> None:
    one, two = Metrics(), Metrics()
    for metrics in (one, two):
        metrics.gauge("waiting", "Waiting.").set(3)
    sums = one.figures().plus(two.figures())
    assert value(sums, "waiting") == 6
    assert sums.families["trillium_drain_state"].is_peak
    assert value(sums.totals(), "waiting") is None
    # What one process lacks, the other has.
    two.gauge("other", "Other.").set(1)
    assert value(one.figures().plus(two.figures()), "other") == 1
    assert value(two.figures().plus(one.figures()), "other") == 1


@pytest.mark.parametrize("wrong", [{"a": 1}, {"a": {}}, [], {"a": {"kind": "x"}}])
def test_mt_8_what_are_no_figures(wrong: object) -> None:
    with pytest.raises(ValueError, match="no figures"):
        Figures.from_json(wrong)  # type: ignore[arg-type]  # as it comes
