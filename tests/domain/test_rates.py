"""What goes at once, what goes in the long run, what is said of the wait, and who takes no notice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.rates import Bucket, Ration

START = 1_700_000_000_000


def test_a_burst_goes_at_once() -> None:
    """A new bucket is full, whatever the time is, and holds the burst and no more."""
    bucket = Bucket(10, 3)
    assert [bucket.take(1, START) for _ in range(4)] == [0, 0, 0, 100]


def test_what_is_refused_takes_nothing() -> None:
    """However often somebody is refused, the wait gets no longer."""
    bucket = Bucket(10, 1)
    assert bucket.take(1, START) == 0
    assert [bucket.take(1, START) for _ in range(5)] == [100] * 5
    assert bucket.take(1, START + 99) == 1
    assert bucket.take(1, START + 100) == 0


def test_it_fills_up_to_the_burst() -> None:
    """A bucket that nobody asks for a day holds one burst."""
    bucket = Bucket(1_000, 2)
    assert bucket.take(2, START) == 0
    later = START + 24 * 3_600_000
    assert [bucket.take(1, later) for _ in range(3)] == [0, 0, 1]


def test_many_at_once() -> None:
    """All that is asked for at once is taken, or nothing of it."""
    bucket = Bucket(100, 10)
    assert bucket.take(7, START) == 0
    assert bucket.take(7, START) == 40
    assert bucket.take(3, START) == 0


def test_more_than_the_burst_is_owed() -> None:
    """What no bucket could hold is taken from a full one, and has to be earned before anything else goes."""
    bucket = Bucket(100, 10)
    assert bucket.take(25, START) == 0
    assert bucket.take(1, START) == 160
    assert bucket.take(25, START + 160) == 90
    assert bucket.take(25, START + 250) == 0


def test_nothing_is_always_there() -> None:
    """Who asks for nothing gets it, unless the bucket owes."""
    bucket = Bucket(1, 1)
    assert bucket.take(1, START) == 0
    assert bucket.take(0, START) == 0


def test_waits_are_rounded_up() -> None:
    """After the wait that was told the token is there, also where its time is no whole millisecond."""
    bucket = Bucket(3, 1)
    assert bucket.take(1, START) == 0
    assert bucket.take(1, START) == 334
    assert bucket.take(1, START + 333) == 1
    assert bucket.take(1, START + 334) == 0


def test_a_clock_that_goes_back() -> None:
    """Time that runs backwards brings nothing, and from there on it fills as ever."""
    bucket = Bucket(10, 1)
    assert bucket.take(1, START) == 0
    assert bucket.take(1, START - 60_000) == 100
    assert bucket.take(1, START - 59_900) == 0


def test_patience_takes_what_comes_in_time() -> None:
    """Who has patience is told when its tokens are there, and who asks next stands behind."""
    bucket = Bucket(10, 1)
    assert [bucket.take(1, START, 300) for _ in range(6)] == [0, 100, 200, 300, 400, 400]
    assert bucket.take(1, START + 100, 300) == 300


def test_the_impatient_never_overtake() -> None:
    """As long as somebody waits for its turn, there is nothing for who does not wait."""
    bucket = Bucket(10, 1)
    assert [bucket.take(1, START, 200) for _ in range(3)] == [0, 100, 200]
    assert bucket.take(1, START + 150) == 150
    assert bucket.take(1, START + 300) == 0


def test_patience_for_more_than_the_burst() -> None:
    """Who asks for more than a burst waits for a full bucket, and the next one for what it then owes."""
    bucket = Bucket(100, 10)
    assert bucket.take(10, START) == 0
    assert bucket.take(30, START, 100) == 100
    assert bucket.take(1, START, 1_000) == 310


@given(
    st.integers(1, 5_000),
    st.integers(1, 500),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3_000)), min_size=1),
)
def test_the_long_run(per_s: int, burst: int, asked: list[tuple[int, int]]) -> None:
    """Never more goes than a burst, the rate, and one debt; and whoever waits as told is served."""
    bucket = Bucket(per_s, burst)
    now, taken, greatest = START, 0, 0
    for n, pause_ms in asked:
        now += pause_ms
        wait_ms = bucket.take(n, now)
        if wait_ms:
            assert bucket.take(n, now + wait_ms - 1) == 1
            now += wait_ms
            assert bucket.take(n, now) == 0
        taken += n
        greatest = max(greatest, n)
        assert taken <= burst + (now - START) * per_s / 1_000 + greatest


@pytest.mark.parametrize("per_s", [1, 7, 1_000])
def test_nothing_is_lost_to_rounding(per_s: int) -> None:
    """Asked every millisecond for as long as a minute, exactly the rate goes."""
    bucket = Bucket(per_s, 1)
    assert sum(bucket.take(1, START + ms) == 0 for ms in range(60_000)) == 60 * per_s


def test_is_full() -> None:
    """A bucket is full before anything was taken, and again when all of it has come back."""
    bucket = Bucket(10, 2)
    assert bucket.is_full(START)
    assert bucket.take(1, START) == 0
    assert not bucket.is_full(START + 99)
    assert bucket.is_full(START + 100)
    assert bucket.take(2, START + 100) == 0


def flood(ration: Ration, now: int, most: int = 1_000) -> int:
    """Ask until it is flooding; return how many requests were refused on the way."""
    refused = 0
    for _ in range(most):
        if ration.flooding:
            break
        refused += ration.take(now) > 0
    return refused


def test_refused_past_the_rate() -> None:
    """A device may ask for a burst at once, and past it is told when to ask again."""
    ration = Ration(10, 3)
    assert [ration.take(START) for _ in range(5)] == [0, 0, 0, 100, 100]
    assert ration.take(START + 100) == 0
    assert not ration.flooding


def test_flooding() -> None:
    """Ten bursts of refusals without a rest are a flood, however much was given in between."""
    ration = Ration(10, 3)
    assert flood(ration, START) == 30
    assert ration.flooding
    assert ration.take(START + 100) == 0
    assert ration.flooding


def test_no_flood() -> None:
    """Who rests until the bucket is full begins anew, however often it was refused before."""
    ration = Ration(10, 3)
    for turn in range(20):
        now = START + turn * 300
        assert [ration.take(now) for _ in range(23)] == [0] * 3 + [100] * 20
    assert not ration.flooding


def test_flood_ends_with_a_rest() -> None:
    """A rest ends the flood: the next refusals are told again."""
    ration = Ration(10, 3)
    flood(ration, START)
    assert ration.take(START + 299) == 0
    assert ration.flooding
    assert ration.take(START + 400) == 0
    assert not ration.flooding


def test_waiting_is_no_rest() -> None:
    """Where a burst is a single request, the bucket is full after each wait; the flood goes on all the same."""
    ration = Ration(10, 1)
    assert flood(ration, START) == 10
    for turn in range(1, 50):
        assert ration.take(START + turn * 100 - 50) == 50
        assert ration.take(START + turn * 100, again=True) == 0
        assert ration.flooding
