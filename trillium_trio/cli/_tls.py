"""TLS from files."""

from __future__ import annotations

import ssl
from typing import NoReturn

import click

__all__ = ["TLS_OPTIONS", "ssl_context_from"]

TLS_OPTIONS = ("certfile", "keyfile", "keyfile_password", "ca_certs", "cert_reqs")

_CERT_REQS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


def ssl_context_from(context: click.Context) -> ssl.SSLContext | None:
    """Return a server-side context from the options of a command line; None without any.

    Raises:
      click.UsageError: The files are invalid or do not fit together; the message names the option.
    """
    certfile, keyfile, password, ca_certs, cert_reqs = (
        context.params[name] for name in TLS_OPTIONS
    )
    if certfile is None:
        for name in TLS_OPTIONS[1:]:
            if context.params[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} needs --certfile")
        return None
    if cert_reqs in {"optional", "required"} and ca_certs is None:
        raise click.UsageError(f"--cert-reqs {cert_reqs} needs --ca-certs")
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.set_alpn_protocols(["http/1.1"])
    _load_certificate(made, certfile, keyfile, password)
    if ca_certs is not None:
        try:
            made.load_verify_locations(ca_certs)
        except (OSError, ssl.SSLError) as error:
            _refuse("--ca-certs", ca_certs, _reason(error))
        made.verify_mode = _CERT_REQS[cert_reqs or "required"]
    return made


# Another key of the same kind, and one of another kind.
_MISMATCHES = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


class _PasswordNeeded(Exception):
    """The private key is encrypted, and there is no password."""


def _load_certificate(
    made: ssl.SSLContext, certfile: str, keyfile: str | None, password: str | None
) -> None:
    def ask() -> str:
        # Without a function OpenSSL asks at the terminal, which a service does not have.
        if password is None:
            raise _PasswordNeeded
        return password

    key = ("--keyfile", keyfile) if keyfile else ("--certfile", certfile)
    try:
        made.load_cert_chain(certfile, keyfile, ask)
    except _PasswordNeeded:
        _refuse(*key, "the key is encrypted: give --keyfile-password")
    except ssl.SSLError as error:
        # The text of other reasons depends on the version of OpenSSL.
        if error.reason in _MISMATCHES:
            _refuse(*key, f"the key does not belong to the certificate in {certfile}")
        if not _is_certificate(certfile):
            _refuse("--certfile", certfile, "there is no certificate, as PEM, in it")
        if password is not None:
            _refuse(*key, f"the key cannot be read with --keyfile-password: {_reason(error)}")
        _refuse(*key, f"there is no private key, as PEM, in it: {_reason(error)}")
    except OSError as error:
        _refuse("--certfile", certfile, _reason(error))


def _is_certificate(certfile: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certfile)
    except ssl.SSLError:
        return False
    return True


def _reason(error: OSError) -> str:
    reason: str | None = getattr(error, "reason", None)
    return (reason or error.strerror or str(error)).replace("_", " ").lower()


def _refuse(option: str, path: str | None, why: str) -> NoReturn:
    raise click.UsageError(f"{option} {path}: {why}")
