"""The circuit, against a model that keeps every outcome."""

import gc
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pyresilience.policies.circuit import Circuit, CircuitRules, CircuitState

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
RULES = CircuitRules(
    failure_threshold=3,
    recovery_timeout=10.0,
    success_threshold=2,
    probes=2,
    window_calls=0,
    window_seconds=0.0,
    minimum_calls=3,
    failure_rate=0.5,
    slow_rate=1.0,
    slow=False,
)


@dataclass
class Ticket:
    """What the model remembers of a permit."""

    permit: object
    epoch: int
    probe: bool


class Model:
    """The rules as sentences: every outcome since the circuit closed is kept and looked through anew."""

    def __init__(self, rules):
        self.rules = rules
        self.now, self.epoch, self.opened_at, self.forced = 0.0, 0, 0.0, False
        self.enter(CLOSED)

    def enter(self, state):
        self.state, self.outcomes, self.probing, self.epoch = state, [], 0, self.epoch + 1
        self.forced = False
        if state is OPEN:
            self.opened_at = self.now

    def admit(self):
        """Whether a call is let through, and whether as a probe."""
        if self.state is CLOSED:
            return True, False
        if self.forced or (self.state is OPEN and self.now < self.opened_at + self.rules.recovery_timeout):
            return False, False
        if self.state is OPEN:
            self.enter(HALF_OPEN)
        if self.probing >= self.rules.probes:
            return False, False
        self.probing += 1
        return True, True

    def settle(self, ticket, *, failed, slow):
        """An outcome: True, False, or None for no verdict."""
        if ticket.epoch != self.epoch or self.state is OPEN:
            return
        if self.state is HALF_OPEN:
            self.probing -= 1
        if failed is None:
            return
        self.outcomes.append((self.now, failed, slow))
        if self.state is HALF_OPEN:
            if failed or slow:
                self.enter(OPEN)
            elif len(self.outcomes) >= self.rules.success_threshold:
                self.enter(CLOSED)
        elif self.too_bad():
            self.enter(OPEN)

    def too_bad(self):
        rules = self.rules
        if not rules.window_calls and not rules.window_seconds:
            last = self.outcomes[-rules.failure_threshold :]
            return len(last) == rules.failure_threshold and all(failed for _, failed, _ in last)
        if rules.window_calls:
            seen = self.outcomes[-rules.window_calls :]
        else:
            width = rules.window_seconds / 20
            seen = [each for each in self.outcomes if each[0] // width > self.now // width - 20]
        if len(seen) < rules.minimum_calls:
            return False
        failures, slow = (sum(each[place] for each in seen) / len(seen) for place in (1, 2))
        return failures >= rules.failure_rate or (rules.slow and slow >= rules.slow_rate)


STEP = st.one_of(
    st.tuples(st.just("admit"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 12)),
    st.tuples(st.sampled_from(["fail", "fail", "succeed", "forget"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["slowly fail", "slowly succeed"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["force open", "close"]), st.just(0)),
)


def follow(rules, steps):
    """Take the same steps with the circuit and the model, and compare after each."""
    circuit, model, out = Circuit(rules), Model(rules), []
    for step, number in steps:
        if step == "admit":
            admitted, probe = model.admit()
            permit = circuit.admit(model.now)
            assert (permit is not None) is admitted
            if admitted:
                out.append(Ticket(permit, model.epoch, probe))
        elif step == "wait":
            model.now += number
        elif step == "force open":
            circuit.open(model.now, forced=True)
            model.enter(OPEN)
            model.forced = True
        elif step == "close":
            circuit.close()
            model.enter(CLOSED)
        elif out:
            ticket = out.pop(number % len(out))
            slow = rules.slow and step.startswith("slowly")
            failed = {"fail": True, "succeed": False, "forget": None}[step.split()[-1]]
            if failed is None:
                circuit.forget(ticket.permit)
            else:
                (circuit.fail if failed else circuit.succeed)(ticket.permit, model.now, slow=slow)
            model.settle(ticket, failed=failed, slow=slow)
            del ticket
        assert circuit.state is model.state, (step, number)
        assert circuit.forced is model.forced


@settings(max_examples=200)
@given(threshold=st.integers(1, 4), probes=st.integers(1, 3), successes=st.integers(1, 3), steps=st.lists(STEP))
def test_failures_in_a_row(threshold, probes, successes, steps):
    """In consecutive mode, with late results of other generations, forcing and probes, the model agrees."""
    follow(replace(RULES, failure_threshold=threshold, probes=probes, success_threshold=successes), steps)


@settings(max_examples=200)
@given(
    size=st.integers(1, 6),
    least=st.integers(1, 6),
    rate=st.sampled_from([0.2, 0.5, 1.0]),
    slow=st.booleans(),
    steps=st.lists(STEP, max_size=60),
)
def test_a_rate_over_the_last_calls(size, least, rate, slow, steps):
    """With a window of calls, failures and slow calls open the circuit as the model says."""
    least = min(least, size)
    follow(replace(RULES, window_calls=size, minimum_calls=least, failure_rate=rate, slow=slow), steps)


@settings(max_examples=200)
@given(
    length=st.sampled_from([5.0, 20.0, 40.0]),
    least=st.integers(1, 5),
    rate=st.sampled_from([0.2, 0.5, 1.0]),
    slow=st.booleans(),
    steps=st.lists(STEP, max_size=60),
)
def test_a_rate_over_the_last_seconds(length, least, rate, slow, steps):
    """With a window of time, failures and slow calls open the circuit as the model says."""
    follow(replace(RULES, window_seconds=length, minimum_calls=least, failure_rate=rate, slow=slow), steps)


def opened(now=0.0, **rules):
    circuit = Circuit(replace(RULES, failure_threshold=1, **rules))
    circuit.fail(circuit.admit(now), now)
    return circuit


def test_a_late_failure_does_not_keep_it_open_longer():
    """A call admitted before the circuit opened and failing after it changes nothing."""
    circuit = Circuit(replace(RULES, failure_threshold=1))
    early, late = circuit.admit(0.0), circuit.admit(0.0)
    circuit.fail(early, 0.0)
    circuit.fail(late, 9.0)
    assert circuit.retry_after(9.0) == 1.0


def test_a_probe_whose_holder_died_gives_its_place_back():
    """A permit that no frame holds any more is not under way."""
    circuit = opened(probes=1)
    circuit.admit(10.0)
    gc.collect()
    assert circuit.admit(10.0) is not None


def test_a_probe_whose_loop_is_gone_gives_its_place_back():
    """A probe counts for as long as its home is there."""
    gone = set()
    circuit = Circuit(replace(RULES, failure_threshold=1, probes=1), gone.__contains__)
    circuit.fail(circuit.admit(0.0), 0.0)
    held = circuit.admit(10.0, "loop")
    assert circuit.admit(10.0, "other") is None
    gone.add("loop")
    assert circuit.admit(10.0, "other") is not None
    assert held is not None


def test_retry_after_counts_down():
    """An open circuit says how long it will be so, and nobody knows when it is forced."""
    circuit = opened()
    assert [circuit.retry_after(now) for now in (0.0, 4.0, 10.0, 99.0)] == [10.0, 6.0, 0.0, 0.0]
    circuit.open(0.0, forced=True)
    assert circuit.retry_after(5.0) is None


def test_seen_is_what_a_caller_would_meet():
    """Once the time is up an open circuit shows as half-open, though nobody has called yet."""
    circuit = opened()
    assert (circuit.seen(9.9), circuit.seen(10.0), circuit.state) == (OPEN, HALF_OPEN, OPEN)


def test_forced_open_shows_open_for_ever():
    """Time does not end what was forced."""
    circuit = Circuit(RULES)
    circuit.open(0.0, forced=True)
    assert circuit.seen(1e9) is OPEN
    assert circuit.admit(1e9) is None


def test_adopting_keeps_the_state_where_the_kind_stays():
    """A successor that counts the same kind of thing goes on where its predecessor was; another one starts anew."""
    former = opened(now=3.0)
    heir, stranger = Circuit(replace(RULES, recovery_timeout=50.0)), Circuit(replace(RULES, window_calls=5))
    heir.adopt(former)
    stranger.adopt(former)
    assert (heir.state, heir.retry_after(3.0), stranger.state) == (OPEN, 50.0, CLOSED)


def test_adopting_keeps_the_count():
    """Failures counted so far count for the successor."""
    former = Circuit(RULES)
    former.fail(former.admit(0.0), 0.0)
    former.fail(former.admit(0.0), 0.0)
    heir = Circuit(RULES)
    heir.adopt(former)
    heir.fail(heir.admit(0.0), 0.0)
    assert heir.state is OPEN
