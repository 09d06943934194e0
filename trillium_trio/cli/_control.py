"""The worker's end of the control socket: where its listeners come from, and who ends it.

.. code-block:: text

    worker                       supervisor
    listen [specifications]  ->
                             <-  the sockets, or why there are none
    ready                    ->
                             <-  drain             as the first signal
                             <-  cut               as the second
                             <-  end of file       drain; after "cut": exit

One JSON object a line. A thread reads, so that no blocked event loop keeps the process alive for
ever.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from typing import TYPE_CHECKING, Self, final

from .._log import SafeLogger
from ..exceptions import BindError, ConfigError
from ..listeners import Lines, bound_to_grant, receive_grant, shared_specs
from ..server import Server, leave_terminal_signals
from ._environment import take_control_fd
from ._forced_exit import exit_now
from ._load import CannotStart

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Control"]

logger = SafeLogger("trillium_trio.cli")


@final
class Control:
    """The control socket of a worker.

    Args:
      sock: Connected to the supervisor, and blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = Lines(sock)
        self._is_obeying = False

    @classmethod
    def of_this_process(cls) -> Self | None:
        """Return the control socket, once, if a supervisor has started this process."""
        fd = take_control_fd()
        if fd is None:
            return None
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        leave_terminal_signals()
        return cls(sock)

    def with_shared_sockets(self, server: Server) -> Server:
        """Return a server like this one that listens on the supervisor's sockets.

        It has no drain delay: nobody has to learn that it stops, because its successor accepts.

        Raises:
          CannotStart: An address cannot be bound, or the supervisor is gone.
        """
        try:
            binds = server.config.binds()
            self._send({"kind": "listen", "specs": shared_specs(binds)})
            listeners = tuple(bound_to_grant(binds, receive_grant(self._lines)))
        except BindError as error:
            raise CannotStart(error.strerror or str(error)) from None
        except (ConfigError, EOFError, ConnectionError) as error:
            raise CannotStart(str(error)) from None
        config = dataclasses.replace(
            server.config, listeners=listeners, drain_delay=0.0, swansong=server.swansong
        )
        return Server(server.handler, config)

    def report_ready(self) -> None:
        """Tell the supervisor that the server accepts: it drains the previous one."""
        try:
            self._send({"kind": "ready"})
        except ConnectionError:
            pass  # The end of file is read as well.

    def obey(self, server: Server) -> None:
        """Do what the supervisor says, from now on, in a thread."""
        self._is_obeying = True
        threading.Thread(target=self._obey, args=(server,), name="control", daemon=True).start()

    def close(self) -> None:
        """Close it, unless a thread reads from it: that goes on to the end of the process."""
        if not self._is_obeying:
            self._sock.close()

    def _obey(self, server: Server) -> None:
        is_cut = False
        while line := self._lines.read():
            match json.loads(line)["kind"]:
                case "drain":
                    server.shut_down()
                case "cut":
                    server.swansong.cancel("second signal")
                    is_cut = True
                    logger.warning("cutting what is in progress, as the supervisor says")
        if is_cut:
            exit_now()
        if server.swansong.is_running:
            logger.warning("the supervisor is gone: draining")
            server.shut_down()

    def _send(self, message: Mapping[str, object]) -> None:
        self._sock.sendall(json.dumps(message).encode() + b"\n")
