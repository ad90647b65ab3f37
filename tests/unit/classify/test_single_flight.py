"""One piece of work for all who ask for it at once, cancelled when nobody waits any more."""

from __future__ import annotations

import asyncio

import pytest

from router_service.classify.single_flight import SingleFlight


class Work:
    """Counts its runs, and ends when told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        self.started.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.runs


async def test_those_who_ask_at_once_share_one_answer() -> None:
    flights, work = SingleFlight[int](), Work()
    asking = [asyncio.create_task(flights.run("key", work)) for _ in range(5)]
    await work.started.wait()
    assert "key" in flights
    assert len(flights) == 1
    work.may_end.set()
    assert await asyncio.gather(*asking) == [1] * 5
    assert work.runs == 1
    assert len(flights) == 0


async def test_other_questions_are_other_flights() -> None:
    flights, work = SingleFlight[int](), Work()
    work.may_end.set()
    await asyncio.gather(flights.run("a", work), flights.run("b", work))
    assert work.runs == 2


async def test_one_who_leaves_does_not_take_the_others_answer_away() -> None:
    flights, work = SingleFlight[int](), Work()
    leaving, staying = (asyncio.create_task(flights.run("key", work)) for _ in range(2))
    await work.started.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert not work.cancelled.is_set()
    work.may_end.set()
    assert await staying == 1


async def test_the_work_is_cancelled_with_the_last_who_waits() -> None:
    flights, work = SingleFlight[int](), Work()
    asking = [asyncio.create_task(flights.run("key", work)) for _ in range(2)]
    await work.started.wait()
    for task in asking:
        task.cancel()
    await work.cancelled.wait()
    assert len(flights) == 0


async def test_who_asks_while_the_work_is_being_cancelled_gets_a_flight_of_their_own() -> None:
    flights, work = SingleFlight[int](), Work()
    leaving = asyncio.create_task(flights.run("key", work))
    await work.started.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    work.may_end.set()
    assert await flights.run("key", work) == 2
    await flights.aclose()


async def test_a_defect_in_the_work_reaches_everyone_who_waits() -> None:
    flights = SingleFlight[int]()

    async def broken() -> int:
        raise ZeroDivisionError

    outcomes = await asyncio.gather(*(flights.run("key", broken) for _ in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    with pytest.raises(ZeroDivisionError):
        await flights.run("key", broken)


async def test_closing_cancels_what_is_under_way_and_waits_for_it() -> None:
    flights, work = SingleFlight[int](), Work()
    asking = asyncio.create_task(flights.run("key", work))
    await work.started.wait()
    await flights.aclose()
    assert work.cancelled.is_set()
    assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], asyncio.CancelledError)
