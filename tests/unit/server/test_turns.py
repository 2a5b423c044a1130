"""A burst goes through the event loop one by one, so that others get their turn in between."""

from __future__ import annotations

import asyncio

from inference_server.api.turns import Turns


async def passes_of(turns: Turns, count: int) -> list[int]:
    """In which pass of the event loop each request of a burst went on."""
    loop, now, went_on = asyncio.get_running_loop(), 0, []

    def tick() -> None:
        nonlocal now
        now += 1
        if len(went_on) < count:
            loop.call_soon(tick)

    async def request() -> None:
        await turns.take()
        went_on.append(now)

    loop.call_soon(tick)
    await asyncio.gather(*(request() for _ in range(count)))
    return went_on


async def test_of_a_burst_one_goes_on_in_each_pass() -> None:
    passes = await passes_of(Turns(), 20)
    assert len(set(passes)) == len(passes)
    assert passes == sorted(passes)


async def test_who_comes_alone_does_not_wait() -> None:
    turns = Turns()
    for _ in range(3):
        taking = turns.take()
        try:
            taking.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waited")
        await asyncio.sleep(0)  # a pass of the loop


async def test_who_gives_up_while_waiting_does_not_hold_up_the_others() -> None:
    turns = Turns()
    tasks = [asyncio.create_task(turns.take()) for _ in range(5)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[3].cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, asyncio.CancelledError) for each in ended] == [False, True, False, True, False]
