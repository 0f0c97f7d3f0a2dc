"""The one way to start a task: it is held, its failure is logged, and it ends with its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Tasks:
    """The background tasks of one owner."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the caller. Whoever wants its result awaits the task."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str, pause_s: float = 1.0) -> None:
        """Run `work`, which never ends by itself, for as long as the owner lives: if it fails, it is begun anew."""
        self.start(self._again(work, name, pause_s), name)

    async def _again(self, work: Callable[[], Coroutine[Any, Any, None]], name: str, pause_s: float) -> None:
        while True:
            try:
                await work()
            except Exception:
                log.exception("the task %s failed, and is begun anew", name)
            await asyncio.sleep(pause_s)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("the task %s failed", task.get_name(), exc_info=error)

    async def stop(self) -> None:
        """Cancel what runs and wait until it has ended."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
