"""PG without a database: what is refused, and what is not shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import trillium_trio as tt
from trillium_trio.handlers import Postgres
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from pathlib import Path


async def test_pg_1_without_its_database_the_server_does_not_start(tmp_path: Path) -> None:
    db = Postgres(f"postgresql://ada:secret@/shop?host={tmp_path}&port=7")
    with pytest.raises(tt.ConfigError) as caught:
        async with TestServer((db, "ok")):
            pass
    text = str(caught.value)
    assert text.startswith(f"Postgres: cannot connect to ada@{tmp_path}:7/shop: ")
    assert "\n" not in text
    assert "secret" not in text


async def test_pg_1_it_is_to_be_open() -> None:
    with pytest.raises(tt.MisuseError, match="is not open"):
        await Postgres().transact(lambda _: None)


async def test_pg_8_a_handler_in_front_of_it_does_not_find_it() -> None:
    async def work(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(tt.MisuseError, match="Postgres leaves it"):
            Postgres.of(conn)
        return conn.ok("")

    async with TestServer(work) as app:
        assert (await app.get("/")).status == 200


async def test_pg_8_a_handler_behind_it_finds_the_last_one() -> None:
    first, second = Postgres(), Postgres()

    async def work(conn: tt.Conn) -> tt.Conn:
        await second.run(await first.run(conn))
        assert Postgres.of(conn) is second
        return conn.ok("")

    async with TestServer(work) as app:
        assert (await app.get("/")).status == 200


@pytest.mark.parametrize(
    "url",
    ["postgresql://ada:secret@db.example:7/shop", "host=db.example password=secret dbname=shop"],
)
def test_pg_9_it_does_not_show_its_password(url: str) -> None:
    db = Postgres(url)
    assert "db.example" in repr(db)
    assert "secret" not in repr(db)


@pytest.mark.parametrize(
    "url", ["postgresql://ada:secr@et@host/", "postgresql:///a?b=secret", "password=secret x"]
)
def test_pg_9_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    with pytest.raises(tt.ConfigError, match="cannot be read") as caught:
        Postgres(url)
    assert "secr" not in str(caught.value)
    assert "et@" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("channel", ["", "c" * 64, "\u00fc" * 32, "a\0b"])
def test_pg_6_a_channel_has_a_name(channel: str) -> None:
    with pytest.raises(tt.ConfigError, match="1 to 63 bytes"):
        Postgres().listen(channel)


@pytest.mark.parametrize("settings", [{"max_size": 0}, {"timeout": 0}, {"timeout": "5"}])
def test_pg_3_its_settings_are_checked(settings: dict[str, float]) -> None:
    [name] = settings
    with pytest.raises(tt.ConfigError, match=f"Postgres.{name} must be"):
        Postgres(**settings)  # type: ignore[arg-type]  # wrong on purpose


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"pip install 'trillium-trio\[postgres\]'"):
        Postgres()
