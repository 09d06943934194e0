"""Many processes that serve one application, and no gap when they are replaced.

.. code-block:: text

    Supervisor           no code of the application, never accepts
     |- Slot 0..N-1      start -> wait until ready -> serve -> on its end: back off
     |- Agenda           one command at a time: roll, renew, scale, upgrade
     |- SupervisorSource what the admin page and the metrics show: all workers together
     |- Crew             the workers: attends each, holds the sockets, ends all at the stop
     |   |- Process      starts anew, so that new code on disk is what a roll brings
     |   |- SharedSockets  bound once, given to each worker
     |   `- LoadPage     the numbers of connections, so that workers accept evenly
     |- Store            the sockets with the service manager: there when no supervisor is
     `- Totals           figures of all workers, also of those that are gone

    Agent                the worker's end: heartbeats, drains, reports

    starting --ready--> ready --drain, or a signal--> draining --> gone
        |                 `---- ends by itself, hangs -----------> gone: started again
        `- cannot start, too slow -------------------------------> gone: the old one goes on

A worker that is silent hangs: its figures come from its event loop. When the supervisor is gone,
its workers read the end of the control socket, and drain.
"""

from __future__ import annotations

from ._admin import AdminSettings, Shown
from ._agenda import Agenda, Renew, Roll, Scale, Ticket, Upgrade
from ._agent import Agent
from ._backoff import Backoff
from ._cores import usable_cores
from ._crew import Crew, Launch
from ._ctl import ControlServer, call
from ._figures import Totals, figures_of
from ._handover import Predecessor, Successor
from ._process import ChildProcess
from ._protocol import LineBuffer, decode, encode
from ._reaper import reap
from ._run import Surroundings, run_supervisor
from ._settings import SupervisorConfig, parse_roll
from ._signals import describe_status, received_signals
from ._slot import Slot
from ._source import SupervisorSource
from ._store import Store
from ._supervisor import Supervisor
from ._worker import Bounds, Process, Stage, Worker, due, wears_out

__all__ = [
    "AdminSettings",
    "Agenda",
    "Agent",
    "Backoff",
    "Bounds",
    "ChildProcess",
    "ControlServer",
    "Crew",
    "Launch",
    "LineBuffer",
    "Predecessor",
    "Process",
    "Renew",
    "Roll",
    "Scale",
    "Shown",
    "Slot",
    "Stage",
    "Store",
    "Successor",
    "Supervisor",
    "SupervisorConfig",
    "SupervisorSource",
    "Surroundings",
    "Ticket",
    "Totals",
    "Upgrade",
    "Worker",
    "call",
    "decode",
    "describe_status",
    "due",
    "encode",
    "figures_of",
    "parse_roll",
    "reap",
    "received_signals",
    "run_supervisor",
    "usable_cores",
    "wears_out",
]
