"""The transport over TLS: what is special to it. The contract of all is in test_contract.py."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple, final

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from tests.unit.transport._tls import client_context, server_context
from tests.unit.transport._waits import collect
from trillium_trio.exceptions import ClientDisconnected
from trillium_trio.transport import (
    HandshakeError,
    Listener,
    SocketTransport,
    TlsTransport,
    Transport,
    Woken,
    close_politely,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LISTENER = Listener(kind="tcp", address=("127.0.0.1", 8443), is_tls=True)
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Client:
    """A client whose records are moved by hand."""

    def __init__(
        self, context: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
    ) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context("h2", "http/1.1")).wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost", session=session
        )

    def encrypt(self, *pieces: bytes) -> bytes:
        """Return the records of these pieces, and what TLS itself has to say before them."""
        for piece in pieces:
            self.tls.write(piece)
        return self.outgoing.read()

    def decrypt(self, records: bytes) -> bytes:
        """Return what the records hold, ``EOF`` in place of close_notify."""
        self.incoming.write(records)
        data = b""
        try:
            while piece := self.tls.read(65536):
                data += piece
        except ssl.SSLWantReadError:
            return data
        return data + EOF

    def goodbye(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()


EOF = b"<EOF>"


class Pair(NamedTuple):
    transport: TlsTransport
    client: Client
    sock: socket.socket

    def send(self, *pieces: bytes) -> None:
        self.sock.sendall(self.client.encrypt(*pieces))

    def receive(self) -> bytes:
        """Decrypt what has arrived by now."""
        try:
            records = self.sock.recv(1_000_000)
        except BlockingIOError:
            records = b""
        return self.client.decrypt(records)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        far.setblocking(False)
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server.accept()[0], far


def make_pair(context: ssl.SSLContext | None = None, client: Client | None = None) -> Pair:
    near, far = tcp_pair()
    below = SocketTransport(near, LISTENER)
    return Pair(TlsTransport(below, context or server_context("http/1.1")), client or Client(), far)


async def shake_hands(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.transport.handshake)
        for _ in range(3):
            await wait_all_tasks_blocked()
            try:
                pair.client.incoming.write(pair.sock.recv(65536))
            except BlockingIOError:
                pass
            try:
                pair.client.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            pair.send()
    pair.receive()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A connection after its handshake."""
    pair = make_pair()
    await shake_hands(pair)
    with pair.sock:
        yield pair
    pair.transport.abort()
    await pair.transport.aclose()


# The handshake


@pytest.mark.parametrize("version", VERSIONS)
async def test_handshake_and_alpn(version: ssl.TLSVersion) -> None:
    context = client_context("h2", "http/1.1")
    context.minimum_version = context.maximum_version = version
    pair = make_pair(client=Client(context))
    transport = pair.transport
    assert transport.is_secure
    assert transport.alpn is None
    assert transport.is_silent
    await shake_hands(pair)
    assert not transport.is_silent
    assert transport.alpn == "http/1.1"
    pair.send(b"hello")
    assert await transport.receive_some() == b"hello"
    assert transport.send_nowait(b"answer") == 6
    assert pair.receive() == b"answer"
    await transport.aclose()
    assert pair.receive() == EOF
    pair.sock.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_is_resumed(version: ssl.TLSVersion) -> None:
    server, context = server_context(), client_context()
    context.maximum_version = version
    first = make_pair(server, Client(context))
    await shake_hands(first)
    assert not first.client.tls.session_reused
    session = first.client.tls.session
    assert session is not None
    assert session.has_ticket
    second = make_pair(server, Client(context, session))
    await shake_hands(second)
    assert second.client.tls.session_reused
    for pair in (first, second):
        await pair.transport.aclose()
        pair.sock.close()


async def test_a_name_chooses_its_context() -> None:
    names: list[str | None] = []
    chosen = server_context("http/1.1")

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        names.append(name)
        tls.context = chosen

    context = server_context()
    context.sni_callback = choose
    pair = make_pair(context)
    await shake_hands(pair)
    assert names == ["localhost"]
    assert pair.transport._tls.context is chosen
    await pair.transport.aclose()
    pair.sock.close()


async def test_what_comes_right_behind_the_handshake_is_received(nursery: trio.Nursery) -> None:
    pair = make_pair()
    shaken = collect(nursery, pair.transport.handshake)
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.tls.do_handshake()
    pair.send()
    await wait_all_tasks_blocked()
    pair.client.incoming.write(pair.sock.recv(65536))
    pair.client.tls.do_handshake()
    pair.send(b"at once")
    await wait_all_tasks_blocked()
    assert shaken == [None]
    assert pair.transport.receive_nowait() == b"at once"
    await pair.transport.aclose()
    pair.sock.close()


async def test_cn_15_a_handshake_that_was_woken_goes_on(nursery: trio.Nursery) -> None:
    pair = make_pair()
    shaken = collect(nursery, pair.transport.handshake)
    await wait_all_tasks_blocked()
    pair.transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert [repr(exc) for exc in shaken] == ["Woken('timeout')"]
    pair.transport.clear_wake()
    await shake_hands(pair)
    assert pair.transport.alpn == "http/1.1"
    await pair.transport.aclose()
    pair.sock.close()


async def test_cn_15_what_has_come_when_a_handshake_is_woken_is_in_time() -> None:
    pair = make_pair()
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.tls.do_handshake()
    pair.send()
    pair.transport.wake("timeout")
    with pytest.raises(Woken):
        await pair.transport.handshake()
    assert not pair.transport.is_silent
    assert pair.sock.recv(100)[:1] == b"\x16", "its answer"
    await pair.transport.aclose()
    pair.sock.close()


async def test_a_client_that_leaves_in_the_handshake() -> None:
    pair = make_pair()
    pair.sock.close()
    with pytest.raises(ClientDisconnected, match="disconnected during the handshake"):
        await pair.transport.handshake()
    assert pair.transport.is_silent
    await pair.transport.aclose()


@pytest.mark.parametrize(
    ("first", "reason", "is_http", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "a plain HTTP request", True, b""),
        (b"DELETE / HTTP/1.1\r\n\r\n", "a plain HTTP request", True, b""),
        # There is no version in which an alert could be written.
        (b"SSH-2.0-x\r\n", "what came is not TLS", False, b""),
        (b"\x16\x03\x01\xff\xff" + bytes(40), "packet length too long", False, b"\x15"),
    ],
    ids=["GET", "DELETE", "SSH", "too-long"],
)
async def test_cn_26_a_failed_handshake_says_why(
    first: bytes, reason: str, is_http: bool, answer: bytes
) -> None:
    pair = make_pair()
    pair.sock.sendall(first)
    with pytest.raises(HandshakeError, match=reason) as failed:
        await pair.transport.handshake()
    assert failed.value.is_http is is_http
    assert failed.value.below is pair.transport.below
    assert isinstance(failed.value.__cause__, ssl.SSLError)
    assert pair.transport.is_disconnected_now()
    await pair.transport.below.send_all(b".")
    got = pair.sock.recv(100)
    # It is still open, and nothing stands before what is said in plaintext but an alert.
    assert got.endswith(b".")
    assert got[:1] == (answer or b".")
    await pair.transport.aclose()
    pair.sock.close()


# Receiving


async def test_records_are_received_together(pair: Pair) -> None:
    pair.send(bytes(40_000))
    received = await pair.transport.receive_some()
    assert received == bytes(40_000)
    pair.send(b"a", b"b", b"c")
    assert await pair.transport.receive_some() == b"abc"


async def test_what_is_left_of_a_record_comes_next(pair: Pair) -> None:
    pair.send(b"abc", b"def")
    assert await pair.transport.receive_some(2) == b"ab"
    assert pair.transport.receive_nowait(2) == b"cd"
    assert await pair.transport.receive_some() == b"ef"
    assert pair.transport.receive_nowait() is None


async def test_what_is_left_comes_after_a_checkpoint_and_after_the_wake(pair: Pair) -> None:
    pair.send(b"abc")
    assert await pair.transport.receive_some(1) == b"a"
    with trio.testing.assert_checkpoints():
        assert await pair.transport.receive_some(1) == b"b"
    pair.transport.wake("stop")
    with pytest.raises(Woken, match="stop"):
        await pair.transport.receive_some()
    pair.transport.clear_wake()
    assert await pair.transport.receive_some() == b"c"


async def test_part_of_a_record_is_waited_for(pair: Pair, nursery: trio.Nursery) -> None:
    record = pair.client.encrypt(b"whole")
    pair.sock.sendall(record[:9])
    assert pair.transport.receive_nowait() is None
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    assert received == []
    pair.sock.sendall(record[9:])
    await wait_all_tasks_blocked()
    assert received == [b"whole"]


async def test_cn_23_tiny_records_are_decrypted_some_at_a_time(pair: Pair) -> None:
    pair.send(*[b"x"] * 150)
    assert await pair.transport.receive_some() == b"x" * 64
    with trio.testing.assert_checkpoints():
        assert await pair.transport.receive_some() == b"x" * 64
    assert pair.transport.receive_nowait() == b"x" * 22
    assert pair.transport.receive_nowait() is None


@pytest.mark.parametrize("polite", [True, False])
async def test_the_end_of_the_input_stays_and_sending_goes_on(polite: bool, pair: Pair) -> None:
    pair.send(b"last")
    if polite:
        pair.sock.sendall(pair.client.goodbye())
        # Nothing counts behind it (RFC 8446, 6.1).
        pair.sock.sendall(b"whatever")
    else:
        pair.sock.shutdown(socket.SHUT_WR)
    assert await pair.transport.receive_some() == b"last"
    for _ in range(2):
        assert await pair.transport.receive_some() == b""
        assert pair.transport.receive_nowait() == b""
    assert not pair.transport.is_disconnected_now()
    assert await pair.transport.send_some(b"answer") == 6
    await wait_all_tasks_blocked()
    if not polite:
        assert pair.receive() == b"answer"


@pytest.mark.parametrize("first", [b"", b"before it"])
async def test_a_mangled_record_is_refused_with_an_alert(first: bytes, pair: Pair) -> None:
    if first:
        pair.send(first)
    record = bytearray(pair.client.encrypt(b"x"))
    record[-1] ^= 1
    pair.sock.sendall(record)
    if first:
        assert await pair.transport.receive_some() == first
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="bad record mac"):
            await pair.transport.receive_some()
    with pytest.raises(ClientDisconnected, match="bad record mac"):
        pair.transport.receive_nowait()
    with pytest.raises(ClientDisconnected, match="bad record mac"):
        pair.transport.send_nowait(b"x")
    with pytest.raises(ClientDisconnected, match="bad record mac"):
        await pair.transport.send_eof()
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        pair.receive()


# Sending


@final
class Narrow(Transport):
    """Takes so many bytes by each call, then as many as it is given.

    Attributes:
      sent: What was taken.
      calls: How many bytes were offered, and whether by a call that may wait.
    """

    def __init__(self, *takes: int) -> None:
        super().__init__(LISTENER)
        self.takes = list(takes)
        self.received: list[bytes] = []
        self.sent = b""
        self.calls: list[tuple[int, bool]] = []

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        return self.received.pop(0)

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        return self.received.pop(0) if self.received else None

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        return self._take(data, waits=False)

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        await trio.lowlevel.checkpoint()
        return self._take(data, waits=True)

    def _take(self, data: bytes | bytearray | memoryview, *, waits: bool) -> int:
        count = min(self.takes.pop(0), len(data)) if self.takes else len(data)
        count = max(count, int(waits))
        self.calls.append((len(data), waits))
        self.sent += bytes(data[:count])
        return count

    async def send_eof(self) -> None:
        pass

    def abort(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def is_disconnected_now(self) -> bool:
        return False

    def _end_waits(self) -> None:
        pass


async def narrow_pair(*takes: int) -> tuple[TlsTransport, Client, Narrow]:
    """Return a connection after its handshake, over a transport that takes so much."""
    below, client = Narrow(), Client()
    transport = TlsTransport(below, server_context())
    for _ in range(2):
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        below.received.append(client.encrypt())
        try:
            await transport.handshake()
        except IndexError:  # it waits for more
            pass
        client.incoming.write(below.sent)
        below.sent = b""
    assert client.decrypt(b"") == b""
    below.takes = list(takes)
    below.calls.clear()
    return transport, client, below


@pytest.mark.parametrize("size", [1, 1_000, 16_384, 16_385, 65_536])
async def test_a_response_leaves_in_one_piece(size: int) -> None:
    transport, client, below = await narrow_pair()
    assert transport.send_nowait(bytes(size)) == size
    assert len(below.calls) == 1
    assert client.decrypt(below.sent) == bytes(size)


async def test_cn_23_one_call_sends_so_much_and_encrypts_a_piece_ahead() -> None:
    transport, client, below = await narrow_pair()
    assert transport.send_nowait(memoryview(bytes(1_000_000))) == 262_144
    assert len(below.calls) == 4
    assert max(size for size, _ in below.calls) < 66_000
    assert client.decrypt(below.sent) == bytes(262_144)


async def test_nothing_is_sent_of_nothing(pair: Pair) -> None:
    assert pair.transport.send_nowait(b"") == 0
    await wait_all_tasks_blocked()
    assert pair.receive() == b""


takes = st.integers(0, 40) | st.integers(0, 70_000)


@given(st.lists(takes, max_size=20), st.integers(1, 200_000), st.data())
def test_each_byte_is_counted_once(sizes: list[int], size: int, data: st.DataObject) -> None:
    """Whatever the peer takes of each call, a caller that goes on loses nothing."""
    message = bytes(range(256)) * (size // 256 + 1)

    async def check() -> None:
        transport, client, below = await narrow_pair(*sizes)
        sent = 0
        while sent < len(message):
            rest = memoryview(message)[sent:]
            if data.draw(st.booleans()):
                taken = transport.send_nowait(rest)
                assert taken >= 0
            else:
                taken = await transport.send_some(rest)
                assert taken > 0
            sent += taken
            assert len(transport._unsent) < 66_000
            # Nothing counts before it has left, but for what a record adds.
            assert len(below.sent) >= sent
        assert not transport._unsent
        assert client.decrypt(below.sent) == message

    trio.run(check)


async def test_what_waits_is_shown_taken_as_it_leaves() -> None:
    transport, _, _ = await narrow_pair(10_000, 20_000, 30_000, 100_000)
    data = bytes(50_000)
    overhead = 22 * 4
    assert transport.send_nowait(data) == pytest.approx(10_000, abs=overhead)
    assert await transport.send_some(data[10_000:]) == 20_000
    assert await transport.send_some(data[30_000:]) == pytest.approx(20_000, abs=overhead)


async def fill(transport: TlsTransport) -> int:
    """Send until nothing more fits."""
    total = 0
    while sent := transport.send_nowait(bytes(65536)[total % 65536 :]):
        total += sent
    return total


async def test_a_peer_that_reads_late_gets_all(pair: Pair, nursery: trio.Nursery) -> None:
    data = bytes(range(256)) * 40_000
    sent = collect(nursery, lambda: pair.transport.send_all(data))
    await wait_all_tasks_blocked()
    assert sent == []
    received = b""
    while len(received) < len(data):
        received += pair.receive()
        await wait_all_tasks_blocked()
    assert sent == [None]
    assert received == data


async def test_cn_15_a_wake_ends_both_waits(pair: Pair, nursery: trio.Nursery) -> None:
    transport = pair.transport
    await fill(transport)
    waits = [
        collect(nursery, transport.receive_some),
        collect(nursery, lambda: transport.send_some(b"x")),
    ]
    await wait_all_tasks_blocked()
    transport.wake("timeout")
    await wait_all_tasks_blocked()
    assert [repr(exc) for (exc,) in waits] == ["Woken('timeout')"] * 2
    transport.clear_wake()
    pair.send(b"and on")
    assert await transport.receive_some() == b"and on"


async def test_receiving_goes_on_while_sending_waits(pair: Pair, nursery: trio.Nursery) -> None:
    sent = collect(nursery, lambda: pair.transport.send_all(bytes(10_000_000)))
    await wait_all_tasks_blocked()
    pair.send(b"meanwhile")
    assert await pair.transport.receive_some() == b"meanwhile"
    assert sent == []


async def test_what_tls_answers_is_kept_within_bounds() -> None:
    transport, client, below = await narrow_pair(*[0] * 9)
    # As if OpenSSL had refused to renegotiate, over and over.
    transport._outgoing.write(bytes(70_000))
    below.received += [client.encrypt(b"a"), client.encrypt(b"b")]
    assert await transport.receive_some() == b"a"
    assert len(transport._unsent) == 70_000
    transport._outgoing.write(bytes(70_000))
    assert await transport.receive_some() == b"b"
    with pytest.raises(ClientDisconnected, match="does not read"):
        await transport.receive_some()


# The end


async def test_cn_25_a_close_says_goodbye(pair: Pair) -> None:
    await pair.transport.aclose()
    await pair.transport.aclose()
    assert pair.receive() == EOF
    assert pair.sock.recv(1) == b""


async def test_cn_25_a_close_waits_for_nobody(pair: Pair) -> None:
    await fill(pair.transport)
    await pair.transport.aclose()
    assert pair.transport.is_disconnected_now()


async def test_cn_25_a_close_before_the_handshake_says_nothing() -> None:
    pair = make_pair()
    await pair.transport.aclose()
    assert pair.sock.recv(1) == b""
    pair.sock.close()


async def test_cn_25_an_abort_says_nothing(pair: Pair) -> None:
    pair.transport.abort()
    await pair.transport.aclose()
    with pytest.raises(ConnectionResetError):
        pair.sock.recv(1)


async def test_cn_25_a_close_after_the_peer_has_gone(pair: Pair) -> None:
    pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    pair.sock.close()
    await pair.transport.aclose()


async def test_cn_13_the_polite_close_says_goodbye_and_waits_for_the_end(
    pair: Pair, nursery: trio.Nursery
) -> None:
    pair.transport.send_nowait(b"answer")
    closed = collect(nursery, lambda: close_politely(pair.transport))
    await wait_all_tasks_blocked()
    assert pair.receive() == b"answer" + EOF
    assert pair.sock.recv(1) == b""
    # Its own goodbye is an answer, and no end yet.
    pair.client.tls.unwrap()
    pair.send()
    await wait_all_tasks_blocked()
    assert closed == []
    pair.sock.close()
    await wait_all_tasks_blocked()
    assert closed == [None]


async def test_cn_13_the_polite_close_discards_what_still_comes(
    pair: Pair, nursery: trio.Nursery
) -> None:
    pair.send(bytes(1_000))
    closed = collect(nursery, lambda: close_politely(pair.transport))
    await wait_all_tasks_blocked()
    pair.send(bytes(100_000))
    pair.sock.sendall(b"no record at all")
    await wait_all_tasks_blocked()
    assert closed == []
    assert pair.receive() == EOF
    pair.sock.close()
    await wait_all_tasks_blocked()
    assert closed == [None]


async def test_cn_13_the_polite_close_can_be_woken(pair: Pair, nursery: trio.Nursery) -> None:
    closed = collect(nursery, lambda: close_politely(pair.transport))
    await wait_all_tasks_blocked()
    assert closed == []
    pair.transport.wake("linger")
    await wait_all_tasks_blocked()
    assert closed == [None]
    assert pair.receive() == EOF


async def test_behind_its_own_end_nothing_is_received_or_sent(
    pair: Pair, nursery: trio.Nursery
) -> None:
    transport = pair.transport
    await transport.send_eof()
    await transport.send_eof()
    pair.send(b"too late")
    assert transport.receive_nowait() is None
    received = collect(nursery, transport.receive_some)
    await wait_all_tasks_blocked()
    assert received == []
    pair.sock.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert received == [b""]
    assert transport.receive_nowait() == b""
    with pytest.raises(ClientDisconnected):
        transport.send_nowait(b"x")


async def test_a_receive_that_waits_when_it_ends_waits_for_the_peers_end(
    pair: Pair, nursery: trio.Nursery
) -> None:
    received = collect(nursery, pair.transport.receive_some)
    await wait_all_tasks_blocked()
    await pair.transport.send_eof()
    pair.send(b"too late")
    await wait_all_tasks_blocked()
    assert received == []
    pair.sock.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    assert received == [b""]


async def test_the_end_comes_behind_what_waits(pair: Pair, nursery: trio.Nursery) -> None:
    total = await fill(pair.transport)
    ended = collect(nursery, pair.transport.send_eof)
    await wait_all_tasks_blocked()
    assert ended == []
    received = b""
    while not received.endswith(EOF):
        received += pair.receive()
        await wait_all_tasks_blocked()
    assert ended == [None]
    assert len(received) >= total


async def test_a_wake_before_the_end_leaves_it_untold(pair: Pair) -> None:
    pair.transport.wake("stop")
    with pytest.raises(Woken):
        await pair.transport.send_eof()
    assert pair.receive() == b""


async def test_a_reset_is_a_disconnect(pair: Pair) -> None:
    assert not pair.transport.is_disconnected_now()
    pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    pair.sock.close()
    assert pair.transport.is_disconnected_now()
    with pytest.raises(ClientDisconnected):
        await pair.transport.receive_some()
