"""FW-1 to FW-6 of docs/spec/forwarded.md: what trusted proxies say of a request."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

import trillium_trio as tt
from tests.wire import Response, request, serving
from trillium_trio.asgi import Asgi
from trillium_trio.conn import Client
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import Forwarded, WebSocket, WebSocketConn
from trillium_trio.http import Networks
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trillium_trio.asgi import Receive, Scope, Send
    from trillium_trio.conn import HandlerLike

PEER = "10.0.0.1"


def proxied(peer: str = PEER, port: int = 4711) -> bytes:
    """A header of the PROXY protocol: it gives a connection in memory this peer."""
    version, own = ("6", "::1") if ":" in peer else ("4", "127.0.0.1")
    return f"PROXY TCP{version} {peer} {own} {port} 80\r\n".encode()


async def exchange(handler: HandlerLike, raw: bytes, peer: str = PEER) -> Response:
    """Send the bytes of one request from a peer; return its response."""
    async with serving(handler, proxies="unix") as app:
        client = app.connect()
        await client.send(proxied(peer), raw)
        response = await client.response()
        # The server would wait for it.
        await client.stream.aclose()
        return response


async def answer(handler: HandlerLike, *fields: str, peer: str = PEER) -> tuple[int, str]:
    """Send one request from a peer; return status and body of the answer."""
    response = await exchange(handler, request("/", *fields), peer)
    return response.status, response.body.decode()


async def show(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"{conn.peer_ip} {conn.url}")


async def seen(
    forwarded: Forwarded, *fields: str, peer: str = PEER, host: str | None = None
) -> str:
    """Return the client's address and the URL, as a handler behind sees them."""
    raw = request("/", *fields).replace(b"Host: x", f"Host: {host or 'x'}".encode(), 1)
    response = await exchange((forwarded, show), raw, peer)
    assert response.status == 200, response
    return response.body.decode()


# FW-1

ALL = ("Forwarded: for=1.2.3.4;proto=https;host=evil", "X-Forwarded-Proto: https")
X_ALL = ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil")


@pytest.mark.parametrize("fields", [ALL, X_ALL, ALL + X_ALL])
@pytest.mark.parametrize("trust", [[], ["192.168.0.0/16"], ["10.0.0.2", "::/0", "unix"]])
async def test_fw_1_an_untrusted_peer_changes_nothing(trust: list[str], fields: list[str]) -> None:
    assert await seen(Forwarded(trust, x_host=True), *fields) == f"{PEER} http://x/"
    assert await seen(Forwarded(trust, hops=1), *fields) == f"{PEER} http://x/"


async def test_fw_1_a_proxy_on_a_unix_socket() -> None:
    fields = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "host": "shop"}
    for trust, expected in (
        ("unix", "1.2.3.4 https://shop/"),
        ("*", "1.2.3.4 https://shop/"),
        ("0.0.0.0/0", "None http://shop/"),
    ):
        async with TestServer((Forwarded([trust]), show)) as app:
            (await app.get("/", headers=fields)).assert_body(expected)


# The cases of uvicorn's test_forwarded_hosts, without words for which we have none.
IPV4 = "127.0.0.1, 10.0.0.1"
IPV4_NETWORKS = "127.0.0.0/8,10.0.0.0/8"
IPV6 = "2001:db8::,2001:0db8:0001:0000:0000:0ab9:C0A8:0102,::b16:212c"
IPV6_NETWORKS = "2001:db8:abcd:0012::0/64"


@pytest.mark.parametrize(
    ("names", "trusted", "untrusted"),
    [
        ("", "", "127.0.0.0 127.0.0.1 10.0.0.1 :: ::1 2001:db8:: unix"),
        ("*", "127.0.0.0 10.255.255.255 1.1.1.1 :: ::1 a:b:c:d:: unix", ""),
        (IPV4, "127.0.0.1 10.0.0.1", "127.0.0.0 127.1.1.1 10.0.0.0 192.168.0.1 :: ::1 unix"),
        (IPV4_NETWORKS, "127.0.0.0 127.255.255.255 10.1.1.1", "192.168.0.0 1.1.1.1 :: ::1 unix"),
        (IPV6, "2001:db8:: ::11.22.33.44 2001:db8:1::ab9:c0a8:102", "127.0.0.1 ::1 ::a:b:c:d"),
        (IPV6_NETWORKS, "2001:db8:abcd:12:: 2001:db8:abcd:12::1:1", "127.0.0.1 2001:db8:: unix"),
        ("unix", "unix", "127.0.0.1 ::1"),
        # An IPv4 address is the same, mapped into IPv6 or not.
        ("10.0.0.0/8", "::ffff:10.0.0.1 ::ffff:a00:1", "::10.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.0.0.1 ::ffff:10.0.0.1", "11.0.0.1"),
        ("fe80::/10", "fe80::1%eth0", "10.0.0.1"),
    ],
)
def test_fw_1_which_peers_a_network_has(names: str, trusted: str, untrusted: str) -> None:
    networks = Networks(names, setting="x")
    for each in (trusted + " " + untrusted).split():
        peer = None if each == "unix" else each
        assert networks.has_peer(peer) is (each in trusted.split()), each
    assert not networks.has_peer("nonsense") or names == "*"


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (["10.0.0.1/8"], "'10.0.0.1/8' is no network: 10.0.0.1/8 has host bits set"),
        (["proxy.example"], "'proxy.example' is no network"),
        ("10.0.0.0/8, ten", "'ten' is no network"),
        ([""], "'' is no network"),
        ([10], "10 is no network: it is a int"),
    ],
)
def test_fw_1_what_is_no_network_is_refused(trust: Iterable[str], reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Forwarded(trust)
    assert str(caught.value).startswith(f"Forwarded(trust): {reason}")
    with pytest.raises(ConfigError, match=r"^proxy_protocol: "):
        tt.config().bind_tcp(8080, proxy_protocol=trust)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hops": 0}, r"Forwarded\(hops\) must be a whole number from 1"),
        ({"hops": 65}, r"Forwarded\(hops\) must be at most 64"),
        ({"header": "x-real-ip"}, r"Forwarded\(header\) must be one of .*, not 'x-real-ip'"),
    ],
)
def test_fw_1_other_arguments_are_checked(settings: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Forwarded(["*"], **settings)


# FW-2: uvicorn's test_proxy_headers.py. There "*" believes the leftmost address, which the client
# has written, and a text that is no address becomes the client; an empty entry ends the search.


@pytest.mark.parametrize(
    ("trust", "value", "expected"),
    [
        ("*", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("192.168.0.1", "1.2.3.4", PEER),
        ("10.0.0.1, 1.2.3.4", "1.2.3.4", "1.2.3.4"),
        ("*", "1.2.3.4, 10.0.2.1, 192.168.0.2", "192.168.0.2"),
        ("*, 192.168.0.0/16", "1.2.3.4, 10.0.2.1, 192.168.0.2", "10.0.2.1"),
        ("10.0.0.1,10.0.2.1,192.168.0.2", "1.2.3.4, 10.0.2.1, 192.168.0.2", "1.2.3.4"),
        ("192.168.0.2,10.0.2.1,10.0.0.1", "1.2.3.4, 10.0.2.1, 192.168.0.2", "1.2.3.4"),
        ("192.168.0.2,10.0.0.1", "1.2.3.4, 10.0.2.1, 192.168.0.2", "10.0.2.1"),
        ("10.0.0.0/8,192.168.0.2", "1.2.3.4, 10.0.2.1, 192.168.0.2", "1.2.3.4"),
        ("10.0.0.0/8,192.168.0.2", "1.2.3.4:1234, 10.0.2.1:80, 192.168.0.2:9000", "1.2.3.4"),
        ("10.0.0.0/8,2001:db8::/32", "1.2.3.4, [2001:db8::1]:8080, 10.2.2.2", "1.2.3.4"),
        ("10.0.0.0/8", "1.2.3.4, [2001:db8::1]:8080, 10.2.2.2", "2001:db8::1"),
        ("10.0.0.0/8", "", PEER),
        ("10.0.0.0/8", ", , ", PEER),
        ("10.0.0.0/8", " , 10.0.0.2", "10.0.0.2"),
        ("10.0.0.0/8", "9.9.9.9 , , , 10.0.0.2", "9.9.9.9"),
        ("10.0.0.0/8", ", , 9.9.9.9, ,", "9.9.9.9"),
        ("10.0.0.0/8", "1.2.3.4, \xf0\xfd\xfd\xfd, unix:, ::1", "::1"),
        ("10.0.0.0/8,::1", "1.2.3.4, \xf0\xfd\xfd\xfd, unix:, ::1", "::1"),
        # From divviup-api: a client that writes its own first entry.
        ("10.0.0.0/8", "127.0.0.1, 1.2.3.4", "1.2.3.4"),
    ],
)
async def test_fw_2_the_first_from_the_right_that_is_no_proxy(
    trust: str, value: str, expected: str
) -> None:
    assert (await _from(Forwarded(trust), value))[0] == expected


async def _from(forwarded: Forwarded, value: str) -> tuple[str, ...]:
    """Return the client and the chain that an X-Forwarded-For leads to."""

    async def chain(conn: tt.Conn) -> tt.Conn:
        client = Forwarded.of(conn)
        assert client is Client.of(conn)
        assert client.ip == conn.peer_ip == client.chain[0]
        return conn.ok(" ".join(client.chain))

    raw = request("/", "X-Forwarded-For: @@").replace(b"@@", value.encode("latin-1"))
    response = await exchange((forwarded, chain), raw)
    return tuple(response.body.decode().split())


async def test_fw_2_the_chain_has_the_client_and_the_proxies() -> None:
    forwarded = Forwarded(["10.0.0.0/8"])
    assert await _from(forwarded, "6.6.6.6, 1.2.3.4, 10.0.0.3, 10.0.0.2") == (
        *("1.2.3.4", "10.0.0.3", "10.0.0.2"),
        PEER,
    )
    assert await _from(Forwarded(), "1.2.3.4") == (PEER,)


@pytest.mark.parametrize("name", ["Forwarded: for=", "X-Forwarded-For: "])
async def test_fw_2_several_lines_are_one_list(name: str) -> None:
    """As uvicorn does from 0.49 on: it had ignored all lines but one."""
    lines = [name + each for each in ("203.0.113.66", "198.51.100.23", "10.0.0.2")]
    expected = "198.51.100.23 http://x/"
    assert await seen(Forwarded(["10.0.0.0/8"]), *lines) == expected
    assert await seen(Forwarded(["10.0.0.0/8"]), *[each.lower() for each in lines]) == expected


async def test_fw_2_no_more_than_64_entries_are_looked_at() -> None:
    forwarded = Forwarded(["10.0.0.0/8"])
    hops = [f"10.0.0.{each}" for each in range(100, 164)]
    assert (await _from(forwarded, ", ".join(["1.2.3.4", *hops[1:]])))[0] == "1.2.3.4"
    assert (await _from(forwarded, ", ".join(["1.2.3.4", *hops])))[0] == hops[0]
    assert (await _from(forwarded, "1.2.3.4" + "," * 64))[0] == PEER


# werkzeug's test_proxy_fix.py, without the prefix. The client is always 192.168.0.1.
@pytest.mark.parametrize(
    ("hops", "x_host", "peer", "host", "fields", "url"),
    [
        pytest.param(
            *(1, False, "192.168.0.2", "spam"),
            {"For": "192.168.0.1", "Proto": "https"},
            "https://spam/",
            id="for",
        ),
        pytest.param(1, False, None, "spam", {"Proto": "https"}, "https://spam/", id="proto"),
        pytest.param(1, True, None, "spam", {"Host": "eggs"}, "http://eggs/", id="host"),
        pytest.param(
            1, True, None, "spam", {"Port": "8080"}, "http://spam:8080/", id="port-without-port"
        ),
        pytest.param(
            1, True, None, "spam:9000", {"Port": "8080"}, "http://spam:8080/", id="port-with-port"
        ),
        pytest.param(
            *(1, True, "192.168.0.2", "spam:9000"),
            {"For": "192.168.0.1", "Proto": "https", "Host": "eggs", "Port": "443"},
            "https://eggs/",
            id="all",
        ),
        pytest.param(
            *(2, False, "192.168.0.3", "spam"),
            {"For": "192.168.0.1, 192.168.0.2"},
            "http://spam/",
            id="multiple-for",
        ),
        pytest.param(
            *(3, False, "192.168.0.1", "spam"),
            {"For": "192.168.0.3, 192.168.0.2"},
            "http://spam/",
            id="ignore-len-less-than-trusted",
        ),
        pytest.param(
            *(1, False, "192.168.0.2", "spam"),
            {"For": "192.168.0.3, 192.168.0.1"},
            "http://spam/",
            id="ignore-untrusted",
        ),
        pytest.param(
            *(2, False, "192.168.0.1", "spam"),
            {"For": ", 192.168.0.3"},
            "http://spam/",
            id="ignore-empty",
        ),
        pytest.param(
            *(1, True, None, "spam"),
            {"Host": "[2001:db8::a]"},
            "http://[2001:db8::a]/",
            id="ipv6-host",
        ),
        pytest.param(
            *(1, True, None, "[2001:db8::a]"),
            {"Port": "8080"},
            "http://[2001:db8::a]:8080/",
            id="ipv6-port-host-without-port",
        ),
        pytest.param(
            *(1, True, None, "[2001:db8::a]:9000"),
            {"Port": "8080"},
            "http://[2001:db8::a]:8080/",
            id="ipv6-port-host-with-port",
        ),
    ],
)
async def test_fw_2_a_number_of_hops(
    hops: int, x_host: bool, peer: str | None, host: str, fields: dict[str, str], url: str
) -> None:
    forwarded = Forwarded(["*"], hops=hops, x_host=x_host)
    lines = [f"X-Forwarded-{name}: {value}" for name, value in fields.items()]
    found = await seen(forwarded, *lines, peer=peer or "192.168.0.1", host=host)
    assert found == f"192.168.0.1 {url}"


# FW-3


@pytest.mark.parametrize(
    ("element", "ip"),
    [
        ("for=192.0.2.43", "192.0.2.43"),
        ("For=192.0.2.43;PROTO=http", "192.0.2.43"),
        ('for="192.0.2.43"', "192.0.2.43"),
        ('for="192.0.2.43:47011"', "192.0.2.43"),
        ('for="[2001:db8:cafe::17]"', "2001:db8:cafe::17"),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for="[2001:DB8:0::17]:_gazonk"', "2001:db8::17"),
        ('for="[::ffff:192.0.2.43]"', "192.0.2.43"),
        (r'for="\1\9\2.0.2.43"', "192.0.2.43"),
        ("by=203.0.113.43;for=192.0.2.43;host=a", "192.0.2.43"),
        ('secret="a, b; \\" c";for=192.0.2.43', "192.0.2.43"),
        ('x="\\\\";for=192.0.2.43', "192.0.2.43"),
        # Not as RFC 7239 has it, but seen.
        ("for=192.0.2.43; proto=http", "192.0.2.43"),
        ("for=192.0.2.43:47011", "192.0.2.43"),
        ("for=[2001:db8:cafe::17]", "2001:db8:cafe::17"),
        (";for=192.0.2.43", None),
        # What tells no address.
        ("for=unknown", None),
        ('for="Unknown:80"', None),
        ("for=_hidden", None),
        ('for="_SEVKISEK:_x"', None),
        ("proto=https", None),
        # Malformed.
        ("for", None),
        ("for=", None),
        ("192.0.2.43", None),
        ("for=192.0.2.43;for=192.0.2.44", None),
        ("for =192.0.2.43", None),
        ("for=192.0.2.43 proto=http", None),
        ('for="192.0.2.43', None),
        ('for=192.0.2.43"', None),
        ('for="192.0.2.43"x', None),
        ("for=192.0.2.256", None),
        ("for=192.0.2.043", None),
        ("for=192.0.2.43:65536", None),
        ("for=[192.0.2.43]", None),
        ('for="[2001:db8::17"', None),
        ('for="[2001:db8::17%eth0]"', None),
        ("for=example.com", None),
    ],
)
async def test_fw_3_an_entry_of_a_trusted_proxy(element: str, ip: str | None) -> None:
    """What it does not tell is not searched for further left."""
    found = await seen(Forwarded(["10.0.0.0/8"]), f"Forwarded: for=6.6.6.6, {element}")
    assert found.split()[0] == (ip or PEER)
    # Behind a further proxy, that one is the last that is known.
    found = await seen(Forwarded(["10.0.0.0/8"]), f"Forwarded: {element}, for=10.0.0.9")
    assert found.split()[0] == (ip or "10.0.0.9")


@pytest.mark.parametrize(
    ("entry", "ip"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:1234", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ('"[2001:db8::1]"', "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:notaport", None),
        ("[2001:db8::1]:notaport", None),
        ("[2001:db8::1]extra", None),
        ("[2001:db8::1", None),
        ("unknown", None),
        ("_hidden", None),
        ("for=1.2.3.4", None),
        ("1.2.3.4 5.6.7.8", None),
    ],
)
async def test_fw_3_an_entry_of_x_forwarded_for(entry: str, ip: str | None) -> None:
    """uvicorn's port shapes: what it leaves untouched, and so calls the client, is malformed."""
    found = await seen(Forwarded(["10.0.0.0/8"]), f"X-Forwarded-For: 6.6.6.6, {entry}")
    assert found.split()[0] == (ip or PEER)


@pytest.mark.parametrize(
    "evil", ['for="', 'for=6.6.6.6;x="', 'x="\\', "for=6.6.6.6;;;=", '"', "\\"]
)
@pytest.mark.parametrize("own", ["for=1.2.3.4", 'for="[2001:db8::7]:1";host="a"'])
@pytest.mark.parametrize("lines", [1, 2])
async def test_fw_3_a_client_does_not_change_the_entries_behind_its_own(
    evil: str, own: str, lines: int
) -> None:
    separator = ", " if lines == 1 else "\r\nForwarded: "
    fields = [f"Forwarded: {evil}{separator}{own}"]
    found = await seen(Forwarded(["10.0.0.0/8"]), *fields)
    assert found.split()[0] == ("1.2.3.4" if "1.2.3.4" in own else "2001:db8::7")


# FW-4


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("for=1.2.3.4;proto=https;host=shop.example", "https://shop.example/"),
        ('for=1.2.3.4;proto=HTTPS;host="shop.example:8443"', "https://shop.example:8443/"),
        ("for=1.2.3.4;proto=wss", "https://x/"),
        ("for=1.2.3.4;proto=ftp;host=shop", "http://shop/"),
        ('for=1.2.3.4;host="a b"', "http://x/"),
        ('for=1.2.3.4;host="a/b"', "http://x/"),
        ("for=1.2.3.4;host=a:65536", "http://x/"),
        # The entry that names the client counts, and no other.
        ("for=6.6.6.6;proto=https;host=evil, for=1.2.3.4", "http://x/"),
        ("for=1.2.3.4;proto=https;host=shop, for=10.0.0.2;proto=http;host=in", "https://shop/"),
        ("for=1.2.3.4, for=10.0.0.2;proto=https;host=in", "http://x/"),
        # Its address is hidden, what else it says is not.
        ("for=_hidden;proto=https;host=shop, for=10.0.0.2", "https://shop/"),
        ("for=?;proto=https;host=evil, for=10.0.0.2;host=in", "http://in/"),
    ],
)
async def test_fw_4_forwarded(value: str, url: str) -> None:
    found = await seen(Forwarded(["10.0.0.0/8"]), f"Forwarded: {value}")
    assert found.split()[1] == url


@pytest.mark.parametrize(
    ("fields", "without", "with_host"),
    [
        (["Proto: https"], "https://x/", "https://x/"),
        (["Proto: WSS"], "https://x/", "https://x/"),
        (["Proto: asdf"], "http://x/", "http://x/"),
        (["Proto: https", "Proto: http"], "http://x/", "http://x/"),
        (["Proto: http", "Proto: https"], "https://x/", "https://x/"),
        (["Proto: https, http"], "http://x/", "http://x/"),
        (["Host: evil"], "http://x/", "http://evil/"),
        (["Host: evil, shop"], "http://x/", "http://shop/"),
        (["Host: a b"], "http://x/", "http://x/"),
        (["Host: shop:81"], "http://x/", "http://shop:81/"),
        (["Host: shop", "Port: 81"], "http://x/", "http://shop:81/"),
        (["Host: shop:82", "Port: 80"], "http://x/", "http://shop/"),
        (["Proto: https", "Port: 443"], "https://x/", "https://x/"),
        (["Proto: https", "Port: 80"], "https://x/", "https://x:80/"),
        (["Port: 70000"], "http://x/", "http://x/"),
        (["Port: -1"], "http://x/", "http://x/"),
        (["Host: shop", "Port: a"], "http://x/", "http://shop/"),
    ],
)
async def test_fw_4_x_forwarded(fields: list[str], without: str, with_host: str) -> None:
    lines = ["X-Forwarded-For: 1.2.3.4", *(f"X-Forwarded-{each}" for each in fields)]
    assert await seen(Forwarded(["10.0.0.0/8"]), *lines) == f"1.2.3.4 {without}"
    assert await seen(Forwarded(["10.0.0.0/8"], x_host=True), *lines) == f"1.2.3.4 {with_host}"


async def test_fw_4_haproxy_behind_an_alb() -> None:
    """uvicorn's case: each of the two has added its lines."""
    lines = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 10.0.0.2"]
    lines += ["X-Forwarded-Proto: https"] * 2
    assert await seen(Forwarded(["10.0.0.0/8"]), *lines) == "1.2.3.4 https://x/"


# FW-5

BOTH = ["Forwarded: for=6.6.6.6", "X-Forwarded-For: 1.2.3.4"]


@pytest.mark.parametrize(
    "fields",
    [
        BOTH,
        ["Forwarded: for=1.2.3.4;host=evil", "X-Forwarded-For: 1.2.3.4"],
        ["Forwarded: for=1.2.3.4;proto=https", "X-Forwarded-For: 1.2.3.4"],
        ["Forwarded: for=1.2.3.4", "X-Forwarded-Proto: https"],
    ],
)
async def test_fw_5_both_kinds_that_differ_are_refused(
    fields: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio")
    status, body = await answer((Forwarded(["10.0.0.0/8"]), show), *fields)
    assert (status, body) == (400, "Bad Request\n")
    [line] = [each.getMessage() for each in caplog.records if "Forwarded" in each.getMessage()]
    assert "Forwarded(header=...)" in line
    assert line.startswith(f"{PEER}:4711: ")


async def test_fw_5_both_kinds_that_agree_are_taken() -> None:
    fields = ["Forwarded: for=1.2.3.4;proto=https", "X-Forwarded-For: 1.2.3.4:80"]
    assert (
        await seen(Forwarded(["10.0.0.0/8"]), *fields, "X-Forwarded-Proto: https")
        == "1.2.3.4 https://x/"
    )


async def test_fw_5_the_setting_decides() -> None:
    for header, ip in (("forwarded", "6.6.6.6"), ("x-forwarded", "1.2.3.4")):
        forwarded = Forwarded(["10.0.0.0/8"], header=header)  # type: ignore[arg-type]  # one of them
        assert await seen(forwarded, *BOTH) == f"{ip} http://x/"
        other = BOTH[0] if header == "x-forwarded" else BOTH[1]
        assert await seen(forwarded, other) == f"{PEER} http://x/"


# FW-6


async def test_fw_6_every_request_has_a_client() -> None:
    async def client(conn: tt.Conn) -> tt.Conn:
        found = Forwarded.of(conn)
        return conn.ok(f"{found!r} {found.address} {conn.peer_address} {conn.is_secure}")

    fields = ('Forwarded: for="1.2.3.4:5";proto=https;host=shop, for=10.0.0.2',)
    assert await answer((Forwarded(["10.0.0.0/8"]), client), *fields) == (
        200,
        (
            "<Client https://shop from 1.2.3.4 by 10.0.0.2 by 10.0.0.1> ('1.2.3.4', 5) "
            "('1.2.3.4', 5) True"
        ),
    )
    assert await answer((Forwarded(), client), *fields) == (
        200,
        "<Client http:// from 10.0.0.1> ('10.0.0.1', 4711) ('10.0.0.1', 4711) False",
    )
    async with TestServer((Forwarded(["10.0.0.0/8"]), client)) as app:
        (await app.get("/")).assert_body("<Client http:// from unix> None None False")


async def test_fw_6_without_the_handler_it_is_a_mistake() -> None:
    async def client(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="Forwarded leaves it, and has not run"):
            Forwarded.of(conn)
        return conn.ok(str(conn.peer_ip))

    assert await answer(client, "X-Forwarded-For: 1.2.3.4") == (200, PEER)


async def test_fw_6_the_fields_stay_and_the_log_names_the_peer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(conn: tt.Conn) -> tt.Conn:
        assert conn.request_headers.get("x-forwarded-for") == "1.2.3.4"
        assert conn.transport.peer == f"{PEER}:4711"
        assert conn.transport.peer_ip == PEER
        raise RuntimeError("broken")

    status, _ = await answer((Forwarded(["*"]), fail), "X-Forwarded-For: 1.2.3.4")
    assert status == 500
    [record] = [each for each in caplog.records if "broken" in each.getMessage()]
    assert record.getMessage().startswith(f"{PEER}:4711: ")


async def test_fw_6_an_asgi_application_sees_the_client() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    handler = (Forwarded(["unix"]), Asgi(app))
    headers = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "host": "shop"}
    async with TestServer(handler) as server:
        (await server.get("/", headers=headers)).assert_ok()
        with pytest.raises(Exception, match="403"):
            async with server.websocket("/", headers=headers):
                pass
        (await server.get("/")).assert_ok()
    http, ws, plain = scopes[-3:]
    assert (http["client"], http["scheme"]) == (("1.2.3.4", 0), "https")
    assert (b"x-forwarded-for", b"1.2.3.4") in http["headers"]
    assert (b"host", b"shop") in http["headers"]
    # There is no TLS here whose facts could be known.
    assert "tls" not in http["extensions"]
    assert (ws["client"], ws["scheme"]) == (("1.2.3.4", 0), "wss")
    assert (plain["client"], plain["scheme"]) == (None, "http")


async def test_fw_6_a_websocket_sees_the_client() -> None:
    async def tell(ws: WebSocketConn) -> None:
        await ws.send(f"{ws.peer_ip} {ws.upgrade.is_secure} {Forwarded.of(ws).host}")

    fields = {
        "forwarded": "for=1.2.3.4;proto=https;host=shop.example",
        "origin": "https://shop.example",
    }
    async with (
        TestServer((Forwarded(["unix"]), WebSocket(tell))) as app,
        app.websocket("/", headers=fields) as ws,
    ):
        assert await ws.receive() == "1.2.3.4 True shop.example"


async def test_fw_6_requests_of_one_connection_are_of_different_clients() -> None:
    async with TestServer((Forwarded(["unix"]), show)) as app, app.session() as session:
        for ip in ("1.2.3.4", "5.6.7.8"):
            response = await session.get("/", headers={"x-forwarded-for": ip, "host": "x"})
            response.assert_body(f"{ip} http://x/")
        (await session.get("/", headers={"host": "x"})).assert_body("None http://x/")
