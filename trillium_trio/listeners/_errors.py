"""What an error of accept(2) means for the listener."""

from __future__ import annotations

import errno

# One connection failed before it was accepted; the next one may succeed. Linux reports pending
# network errors of the new socket this way (accept(2), "Error handling").
_OF_ONE_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,  # A firewall forbids this one.
        errno.EPROTO,
        errno.ETIMEDOUT,
        getattr(errno, "ENONET", errno.EPROTO),  # Linux only.
    }
)

# Nothing can be accepted now; the connection stays queued until resources are freed.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def is_of_one_connection(exc: OSError) -> bool:
    """Whether to skip the connection and continue."""
    return exc.errno in _OF_ONE_CONNECTION


def is_exhausted(exc: OSError) -> bool:
    """Whether to wait until descriptors or memory are available again."""
    return exc.errno in _EXHAUSTED
