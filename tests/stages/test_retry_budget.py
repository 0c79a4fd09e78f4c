"""Paying for retries."""

import pytest

from pyresilience import EventType, RetryBudget, RetryBudgetConfig, RetryConfig, resilient
from pyresilience.testing import FakeClock

RETRY = RetryConfig(max_attempts=5, delay=0)


def failing(colour, clock, **settings):
    """A function that always fails, and the list of its calls."""
    calls = []

    def body():
        calls.append(clock.monotonic())
        raise OSError

    return colour.decorate(body, retry=RETRY, clock=clock, **settings), calls


def test_a_private_budget_bounds_all_calls_together(colour, clock):
    """Retries of one function, over all its calls, are no more than the budget holds."""
    f, calls = failing(colour, clock, retry_budget=RetryBudgetConfig(max_retries=6, refill_rate=0))
    for _ in range(4):
        assert isinstance(colour.outcome(f), OSError)
    assert len(calls) == 4 + 6


def test_the_budget_refills_on_the_pipelines_clock(colour, clock):
    """Time gains retries back."""
    f, calls = failing(colour, clock, retry_budget=RetryBudgetConfig(max_retries=1, refill_rate=0.5))
    colour.outcome(f)
    colour.outcome(f)
    clock.advance(2)
    colour.outcome(f)
    assert len(calls) == 3 + 2


def test_private_budgets_are_apart(colour, clock):
    """One config given to two functions makes a budget for each."""
    config = RetryBudgetConfig(max_retries=2, refill_rate=0)
    (f, f_calls), (g, g_calls) = (failing(colour, clock, retry_budget=config) for _ in range(2))
    colour.outcome(f)
    colour.outcome(g)
    assert (len(f_calls), len(g_calls)) == (3, 3)


def test_one_budget_may_be_shared(colour, clock):
    """One RetryBudget given to two functions is spent by both."""
    budget = RetryBudget(RetryBudgetConfig(max_retries=3, refill_rate=0), clock)
    (f, f_calls), (g, g_calls) = (failing(colour, clock, retry_budget=budget) for _ in range(2))
    colour.outcome(f)
    colour.outcome(g)
    assert (len(f_calls), len(g_calls), budget.available) == (4, 1, 0)


def test_what_ran_out_is_told(colour, clock, events):
    """RETRY_EXHAUSTED says that it was the budget, and the error itself is raised."""
    f, _ = failing(colour, clock, retry_budget=RetryBudgetConfig(max_retries=1, refill_rate=0), listeners=[events])
    assert isinstance(colour.outcome(f), OSError)
    assert [event.reason for event in events.of(EventType.RETRY_EXHAUSTED)] == ["budget"]


def test_the_last_attempt_pays_nothing(colour, clock):
    """Only retries that are made are paid for."""
    budget = RetryBudget(RetryBudgetConfig(max_retries=10, refill_rate=0), clock)
    f, _ = failing(colour, clock, retry_budget=budget)
    colour.outcome(f)
    assert budget.available == 6


def test_by_hand():
    """`acquire` pays, `available` tells, `reset` fills up."""
    clock = FakeClock()
    budget = RetryBudget(RetryBudgetConfig(max_retries=2, refill_rate=1), clock)
    assert [budget.acquire() for _ in range(3)] == [True, True, False]
    clock.advance(1.5)
    assert (budget.available, budget.acquire(), budget.acquire()) == (1.5, True, False)
    budget.reset()
    assert budget.available == 2


def test_a_budget_needs_a_retry():
    """A budget without retries to pay for is refused at decoration."""
    with pytest.raises(ValueError, match="retry_budget needs retry"):
        resilient(retry_budget=RetryBudgetConfig())
