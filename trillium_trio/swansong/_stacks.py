"""Where the holder of a guard is parked. Best effort, from any thread, and never waits.

The frames of a waiting task are those of its coroutine. The frames of a running task, such as one
that blocks its loop, are on its thread's stack. A task that waits for a worker thread is found from
the thread: trio's worker function has a local variable with the task to wake, and its frame is on
the thread's stack (also if anyio started the thread). If another trio version names these things
differently, the thread is left out, and nothing else changes.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final, final

import trio

from trillium_trio._log import is_application, printable, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Snapshot", "holders_here"]

# How many children of a task are shown at each level; people read these reports.
_CHILDREN_SHOWN: Final = 10


@final
class Snapshot:
    """The stacks of all threads at one moment, and the tasks that wait for some of them."""

    def __init__(self) -> None:
        self._threads = {ident: _outwards(top) for ident, top in sys._current_frames().items()}
        self._workers = {
            id(task): frames
            for frames in self._threads.values()
            if (task := _task_served_by(frames)) is not None
        }
        self._names = {
            id(self._threads[thread.ident]): text_of(getattr, thread, "name")
            for thread in threading.enumerate()
            if thread.ident in self._threads
        }

    def stack(self, holder: trio.lowlevel.Task | threading.Thread) -> tuple[str, str | None]:
        """Return where the holder is parked.

        Returns:
          Several lines: a heading, the frames of the application, innermost first, or all frames if
          it has none; then its child tasks, indented. And the innermost application frame alone, if
          there is one.
        """
        if isinstance(holder, threading.Thread):
            frames = self._threads.get(holder.ident or 0, [])
            name = text_of(getattr, holder, "name")
            return "\n".join([f"thread {name}", *_lines(frames)]), _where(frames)
        lines = list(self._task_lines(holder))
        worker = self._worker_frames(holder)
        return "\n".join(lines), _where(worker) or _where(self._task_frames(holder))

    def _task_lines(self, task: trio.lowlevel.Task) -> Iterator[str]:
        yield f"task {text_of(str, task.name)}"
        frames, worker = self._task_frames(task), self._worker_frames(task)
        # A task that only waits for its thread is nowhere in the application.
        if not worker or _where(frames) is not None:
            yield from _lines(frames)
        if worker:
            yield f"  worker thread{self._worker_name(task)}"
            yield from (f"  {line}" for line in _lines(worker))
        children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        for child in children[:_CHILDREN_SHOWN]:
            yield from (f"  {line}" for line in self._task_lines(child))
        if len(children) > _CHILDREN_SHOWN:
            yield f"  and {len(children) - _CHILDREN_SHOWN} more child tasks"

    def _task_frames(self, task: trio.lowlevel.Task) -> list[FrameType]:
        """Return the task's frames, innermost first."""
        outermost = getattr(task.coro, "cr_frame", None)
        for frames in self._threads.values():
            if outermost in frames:
                return frames[: frames.index(outermost) + 1]
        return [frame for frame, _ in task.iter_await_frames()][::-1]

    def _worker_frames(self, task: trio.lowlevel.Task) -> list[FrameType]:
        frames = self._workers.get(id(task), [])
        # Below the worker's own frame there is nothing but trio's thread cache.
        return [frame for frame in frames if _module(frame) != "trio._core._thread_cache"]

    def _worker_name(self, task: trio.lowlevel.Task) -> str:
        name = self._names.get(id(self._workers[id(task)]), "")
        # By default trio names a thread after its task, which is the line above.
        return f" {name}" if name and not name.endswith(f" from {task.name}") else ""


def holders_here() -> Iterator[object]:
    """Yield the holders that could not release a guard while this code waits for completion.

    These are this thread; the current task, or the task that waits for this worker thread; and all
    ancestors of that task by parent nursery, none of which can continue before its children end.
    """
    yield threading.current_thread()
    task: trio.lowlevel.Task | None
    if trio.lowlevel.in_trio_task():
        task = trio.lowlevel.current_task()
    else:
        task = _task_served_by(_outwards(sys._getframe()))
    while task is not None:
        yield task
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task


def _task_served_by(frames: list[FrameType]) -> trio.lowlevel.Task | None:
    """Return the task that waits for the thread with this stack, if it is a trio worker."""
    for frame in frames:
        if frame.f_code.co_name == "worker_fn" and _module(frame) == "trio._threads":
            register = frame.f_locals.get("task_register")
            task = register[0] if register else None
            return task if isinstance(task, trio.lowlevel.Task) else None
    return None


def _outwards(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _line(frame: FrameType) -> str:
    code = frame.f_code
    return printable(f"{code.co_filename}:{frame.f_lineno} in {code.co_name}")


def _lines(frames: list[FrameType]) -> Iterator[str]:
    # Readers can change only the application's frames. The ten or so below them, in trio and in
    # this package, are always the same.
    for frame in [frame for frame in frames if is_application(frame)] or frames:
        yield f"  {_line(frame)}"


def _where(frames: list[FrameType]) -> str | None:
    return next((_line(frame) for frame in frames if is_application(frame)), None)
