"""What is asked of which servers, and how good the answer should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from benchmarks.load.payload import DOWNLOAD_BYTES, MEBIBYTE
from benchmarks.servers import (
    OURS,
    OURS_ASGI,
    OURS_FASTAPI,
    OURS_FILES,
    OURS_ROUTED,
    OURS_SITE,
    OURS_TLS,
    REFERENCE,
    REFERENCE_TLS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CASES", "FLOORS", "GOALS", "PEERS", "TLS_PEERS", "Case", "Goal"]

PEERS = (OURS, REFERENCE, "uvicorn h11+asyncio", "hypercorn trio", "granian asgi", "aiohttp")
TLS_PEERS = (OURS_TLS, REFERENCE_TLS)
FLOORS = ("floor: trio", "floor: uvloop")

# Eleven with Host, some 550 bytes in all: what a browser sends.
BROWSER_HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: http://localhost/index.html?page=2",
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Cache-Control: no-cache",
    'If-None-Match: W/"4a1f-18c7e2b0d40"',
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of request.

    Attributes:
      name: What tables call it.
      servers: Who is asked, by name.
      connections: How many at once; one measurement for each.
      path, method, headers: Of the request. Host is added.
      body_bytes: The length of its body.
      transfer_bytes: What one request moves, if that is what counts; else 0.
      is_tls: It is HTTPS.
      resumes: Each connection resumes the TLS session of the one before.
      shares_core: What makes the load runs on the server's core.
    """

    name: str
    servers: tuple[str, ...]
    connections: tuple[int, ...]
    path: str = "/"
    method: Literal["GET", "POST"] = "GET"
    headers: tuple[str, ...] = ()
    body_bytes: int = 0
    transfer_bytes: int = 0
    is_tls: bool = False
    resumes: bool = False
    shares_core: bool = False

    def request(self) -> bytes:
        """Return the bytes of the request."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost", *self.headers]
        if self.body_bytes:
            lines.append(f"Content-Length: {self.body_bytes}")
        return "\r\n".join([*lines, "", ""]).encode() + bytes(self.body_bytes)


# From one to more than are received for in a turn.
CONNECTIONS = (1, 4, 16, 64, 256, 1024)

CASES = (
    Case(name="small head", servers=(*PEERS, *FLOORS), connections=CONNECTIONS),
    Case(
        name="11 headers",
        servers=(*PEERS, *FLOORS),
        connections=CONNECTIONS,
        headers=BROWSER_HEADERS,
    ),
    Case(
        name="small head, one core",
        servers=(*PEERS, *FLOORS),
        connections=CONNECTIONS,
        shares_core=True,
    ),
    Case(
        name="11 headers, one core",
        servers=(*PEERS, *FLOORS),
        connections=CONNECTIONS,
        headers=BROWSER_HEADERS,
        shares_core=True,
    ),
    Case(
        name="ASGI, small head",
        servers=(OURS, OURS_ASGI, REFERENCE, "hypercorn trio"),
        connections=(64,),
    ),
    Case(
        name="FastAPI, hello",
        servers=(OURS_FASTAPI, "fastapi on uvicorn"),
        connections=(64,),
    ),
    *(
        Case(
            name=f"sessions and compression, {name}",
            servers=(OURS_SITE, "starlette on uvicorn, sessions and compression"),
            connections=(64,),
            path=path,
            headers=("Accept-Encoding: gzip", "Cookie: theme=dark"),
        )
        for name, path in (("20 KB of JSON, gzip", "/document"), ("a session is saved", "/count"))
    ),
    Case(
        name="router, handlers, JSON",
        servers=(
            OURS_ROUTED,
            "starlette on uvicorn",
            "fastapi on uvicorn, two middlewares",
        ),
        connections=(64,),
        path="/users/42",
        headers=("User-Agent: benchmark",),
    ),
    Case(
        name="file of 1 KiB",
        servers=(OURS_FILES, "starlette on uvicorn, files"),
        connections=(64,),
        path="/files/kibibyte.css",
        headers=BROWSER_HEADERS,
    ),
    Case(
        name="file of 1 MiB",
        servers=(OURS_FILES, "starlette on uvicorn, files"),
        connections=(16,),
        path="/files/mebibyte.bin",
        transfer_bytes=len(MEBIBYTE),
    ),
    Case(
        name="echo of 1 KiB",
        servers=PEERS,
        connections=(64,),
        path="/echo",
        method="POST",
        body_bytes=1_024,
    ),
    Case(
        name="download of 64 MiB",
        servers=PEERS,
        connections=(1,),
        path="/download",
        transfer_bytes=DOWNLOAD_BYTES,
    ),
    Case(
        name="upload of 64 MiB",
        servers=PEERS,
        connections=(1,),
        path="/upload",
        method="POST",
        body_bytes=DOWNLOAD_BYTES,
        transfer_bytes=DOWNLOAD_BYTES,
    ),
    Case(name="HTTPS, small head", servers=TLS_PEERS, connections=(1, 64), is_tls=True),
    Case(
        name="HTTPS, 11 headers",
        servers=TLS_PEERS,
        connections=(1, 64),
        headers=BROWSER_HEADERS,
        is_tls=True,
    ),
    Case(
        name="HTTPS, download of 1 MiB",
        servers=TLS_PEERS,
        connections=(1, 16),
        path="/mebibyte",
        transfer_bytes=len(MEBIBYTE),
        is_tls=True,
    ),
    Case(
        name="HTTPS, a handshake for each request",
        servers=TLS_PEERS,
        connections=(64,),
        headers=("Connection: close",),
        is_tls=True,
    ),
    Case(
        name="HTTPS, a resumed handshake for each request",
        servers=TLS_PEERS,
        connections=(64,),
        headers=("Connection: close",),
        is_tls=True,
        resumes=True,
    ),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A ratio of two servers in one case, and what it should be.

    Attributes:
      name: Its number among the project's performance goals.
      case, connections: Where it is measured.
      ours, anchor: The two servers.
      at_least: The bound of ours / anchor in requests per second; or None.
      at_most: The bound of ours / anchor in CPU time per request; or None.
    """

    name: str
    case: str
    connections: int = 64
    ours: str = OURS
    anchor: str
    at_least: float | None = None
    at_most: float | None = None


GOALS: Sequence[Goal] = (
    *(
        Goal(name=name, case=case, connections=connections, anchor=REFERENCE, at_least=at_least)
        for name, case in (("P1", "small head"), ("P2", "11 headers"))
        for connections, at_least in ((1, 0.95), (4, 0.95), (16, 0.95), (64, 1.2), (256, 1.3))
    ),
    # Of one core the CPU time is the steadiest figure that there is: 1.3 x in requests.
    Goal(name="P1", case="small head, one core", anchor=REFERENCE, at_most=0.77),
    Goal(name="P2", case="11 headers, one core", anchor=REFERENCE, at_most=0.77),
    *(
        Goal(name=name, case=case, anchor="granian asgi", at_least=1.05)
        for name, case in (("P1", "small head"), ("P2", "11 headers"))
    ),
    Goal(name="P3", case="11 headers", anchor="uvicorn h11+asyncio", at_least=4.0),
    Goal(name="P3", case="11 headers", anchor="hypercorn trio", at_least=20.0),
    Goal(name="P4", case="small head", anchor="floor: trio", at_most=1.5),
    Goal(
        name="P5",
        case="router, handlers, JSON",
        ours=OURS_ROUTED,
        anchor="starlette on uvicorn",
        at_least=1.4,
    ),
    Goal(
        name="P5",
        case="router, handlers, JSON",
        ours=OURS_ROUTED,
        anchor="fastapi on uvicorn, two middlewares",
        at_least=2.0,
    ),
    *(
        Goal(name="P15", case="ASGI, small head", ours=OURS_ASGI, anchor=anchor, at_least=least)
        for anchor, least in ((REFERENCE, 1.0), ("hypercorn trio", 10.0))
    ),
    Goal(
        name="P15",
        case="FastAPI, hello",
        ours=OURS_FASTAPI,
        anchor="fastapi on uvicorn",
        at_least=1.0,
    ),
    *(
        Goal(
            name="P14",
            case=case,
            connections=connections,
            ours=OURS_FILES,
            anchor="starlette on uvicorn, files",
            at_least=at_least,
        )
        for case, connections, at_least in (("file of 1 KiB", 64, 3.0), ("file of 1 MiB", 16, 1.2))
    ),
    Goal(name="P7", case="download of 64 MiB", connections=1, anchor=REFERENCE, at_least=1.0),
    Goal(name="P7", case="upload of 64 MiB", connections=1, anchor=REFERENCE, at_least=2.5),
    *(
        Goal(name="P13", case=case, ours=OURS_TLS, anchor=REFERENCE_TLS, at_least=1.2)
        for case in ("HTTPS, small head", "HTTPS, 11 headers")
    ),
)
