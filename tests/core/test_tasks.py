"""Background tasks: held, told of, begun anew, and ended with their owner."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.core.tasks import Tasks
from tests.patience import WAIT_S


async def test_a_kept_task_that_fails_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    """One failure is logged and does not end the work for good."""
    tasks, begun, again = Tasks(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise ValueError("once")
        again.set()
        await asyncio.Event().wait()

    tasks.keep(work, "work", pause_s=0)
    async with asyncio.timeout(WAIT_S):
        await again.wait()
    await tasks.stop()
    assert begun == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever starts a task and looks away still finds its failure in the log."""
    tasks = Tasks()

    async def work() -> None:
        raise ValueError("lost?")

    task = tasks.start(work(), "work")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "work failed" in caplog.text


async def test_stop_ends_what_runs() -> None:
    """Nothing outlives its owner."""
    tasks = Tasks()
    task = tasks.start(asyncio.Event().wait(), "for ever")
    await tasks.stop()
    assert task.cancelled()
