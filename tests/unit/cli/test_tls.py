"""TLS from files: what does not fit is named."""

from __future__ import annotations

import ssl
import subprocess
from typing import TYPE_CHECKING

import click
import pytest

from tests.unit.cli.test_options import parse
from tests.unit.transport._tls import PEM
from trillium_trio.listeners import TcpBind, TlsBind

if TYPE_CHECKING:
    from pathlib import Path

CERTFILE = ("--certfile", str(PEM))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with an encrypted key of the certificate, other keys, and a file of neither."""
    command = ["openssl", "pkey", "-in", str(PEM), "-aes128", "-passout", "pass:secret"]
    encrypted = subprocess.run(command, check=True, capture_output=True).stdout
    (tmp_path / "encrypted.pem").write_bytes(encrypted)
    for name, algorithm in {
        "rsa": ["RSA"],
        "ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    }.items():
        command = ["openssl", "genpkey", "-algorithm", *algorithm]
        other = subprocess.run(command, check=True, capture_output=True).stdout
        (tmp_path / f"{name}.pem").write_bytes(other)
    (tmp_path / "neither.pem").write_text("neither\n", encoding="ascii")
    return tmp_path


def tls_of(*arguments: str) -> ssl.SSLContext:
    [bind] = parse(*CERTFILE, *arguments, "--bind", "127.0.0.1:0")[0].listeners
    assert isinstance(bind, TlsBind)
    return bind.ssl_context


def test_cl_5_all_listeners_have_tls_but_the_insecure_ones() -> None:
    config, _ = parse(*CERTFILE, "--bind", "443", "--bind", "8443", "--insecure-bind", "80")
    first, second, plain = config.listeners
    assert isinstance(first, TlsBind)
    assert isinstance(second, TlsBind)
    assert (first.inner, plain) == (TcpBind("0.0.0.0", 443), TcpBind("0.0.0.0", 80))


def test_cl_5_the_default_listener_has_tls() -> None:
    [bind] = parse(*CERTFILE, "--port", "1")[0].listeners
    assert isinstance(bind, TlsBind)
    assert bind.inner == TcpBind("localhost", 1)


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        ([], ssl.CERT_NONE),
        (["--ca-certs", str(PEM)], ssl.CERT_REQUIRED),
        (["--client-ca", str(PEM), "--cert-reqs", "optional"], ssl.CERT_OPTIONAL),
        (["--client-ca", str(PEM), "--cert-reqs", "none"], ssl.CERT_NONE),
    ],
)
def test_cl_5_clients_may_need_a_certificate(arguments: list[str], mode: ssl.VerifyMode) -> None:
    assert tls_of(*arguments).verify_mode is mode


def test_cl_5_a_password_decrypts_the_key(files: Path) -> None:
    tls_of("--keyfile", str(files / "encrypted.pem"), "--keyfile-password", "secret")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--keyfile", "ec.pem"], "needs --certfile"),
        (["--cert-reqs", "optional"], "needs --certfile"),
        ([*CERTFILE, "--cert-reqs", "required"], "needs --ca-certs"),
        (["--certfile", "gone.pem"], "'--certfile': File 'gone.pem' does not exist"),
        (["--certfile", "neither.pem"], "--certfile neither.pem: there is no certificate"),
        ([*CERTFILE, "--keyfile", "gone.pem"], "'--keyfile': File 'gone.pem' does not exist"),
        ([*CERTFILE, "--keyfile", "neither.pem"], "--keyfile neither.pem: there is no private key"),
        ([*CERTFILE, "--keyfile", "rsa.pem"], "the key does not belong to the certificate"),
        ([*CERTFILE, "--keyfile", "ec.pem"], "the key does not belong to the certificate"),
        ([*CERTFILE, "--keyfile", "encrypted.pem"], "give --keyfile-password"),
        (
            [*CERTFILE, "--keyfile", "encrypted.pem", "--keyfile-password", "wrong"],
            "cannot be read with --keyfile-password",
        ),
        ([*CERTFILE, "--ca-certs", "neither.pem"], "--ca-certs neither.pem: "),
        (["--insecure-bind", "80"], "--insecure-bind is for listeners beside TLS"),
    ],
)
def test_cl_5_what_does_not_fit_is_named(
    files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(click.UsageError) as caught:
        parse(*arguments)
    assert complaint in caught.value.format_message()
