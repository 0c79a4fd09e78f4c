"""What a pipeline's runs come to in numbers: outcomes, retries, time-outs, refusals, stand-ins."""

from __future__ import annotations

import threading

import pytest

from pyresilience import (
    BulkheadConfig,
    CacheConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    EventType,
    FallbackConfig,
    RateLimiterConfig,
    RejectedError,
    ResilienceConfig,
    ResilienceEvent,
    ResilienceRegistry,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from pyresilience.events import BulkheadRejected, Failed, Succeeded
from pyresilience.metrics import PipelineMetrics, RunSnapshot
from pyresilience.metrics.run_metrics import STAGES

OUTCOMES = ("success", "failure", "rejected", "fallback")


def broken(*args):
    raise OSError


@pytest.fixture
def runs(clock):
    return PipelineMetrics(clock=clock)


@pytest.fixture
def decorate(colour, clock, runs):
    """Decorates a body in the colour of the test, with pipeline metrics."""

    def decorate(body, **settings):
        return colour.decorate(body, listeners=[runs], clock=clock, **settings)

    return decorate


def only(runs):
    """The numbers of the one function that was heard of, without zeros."""
    (label,) = runs.functions
    stats = runs.get_stats(label)
    numbers = {name: count for name, count in stats.numbers().items() if count}
    refused = {stage: count for stage, count in zip(STAGES, stats.rejections, strict=True) if count}
    assert stats.latency.count == stats.total == sum(getattr(stats, name) for name in OUTCOMES)
    return {**numbers, **({"rejections": refused} if refused else {})}


def test_success(colour, decorate, runs):
    """Runs that return are successes, whatever they return."""
    f = decorate(lambda x: x)
    for value in (1, None, 0, OSError("returned")):
        colour.call(f, value)
    assert only(runs) == {"success": 4}


def test_failure(colour, decorate, runs):
    """Runs that raise are failures."""
    f = decorate(broken)
    for _ in range(3):
        colour.outcome(f)
    assert only(runs) == {"failure": 3}


def test_retries(colour, decorate, runs):
    """Attempts after the first are retries of one run."""
    f = decorate(broken, retry=RetryConfig(max_attempts=4, delay=0))
    colour.outcome(f)
    assert only(runs) == {"failure": 1, "retries": 3}


def test_fallback(colour, decorate, runs):
    """A run that a stand-in ended is a fallback, neither success nor failure."""
    f = decorate(broken, fallback=FallbackConfig("stand-in"), retry=RetryConfig(max_attempts=2, delay=0))
    assert colour.call(f) == "stand-in"
    assert only(runs) == {"fallback": 1, "fallbacks": 1, "retries": 1}


def test_a_fallback_that_fails(colour, decorate, runs):
    """Where the stand-in fails there was none: the run is a failure."""

    def fails(error):
        raise KeyError

    f = decorate(broken, fallback=FallbackConfig(fails))
    assert isinstance(colour.outcome(f), KeyError)
    assert only(runs) == {"failure": 1}


def test_timeouts(colour, decorate, clock, runs):
    """A limit that passes is counted, once per attempt, and the run is a failure with the limit as its duration."""
    go = colour.event()

    async def body():
        clock.advance(5)
        await go.wait()

    f = decorate(body, timeout=TimeoutConfig(5), retry=RetryConfig(max_attempts=2, delay=0))

    async def scenario():
        assert isinstance(await colour.end_of(f), TimeoutError)
        go.set()

    colour.run(scenario)
    assert only(runs) == {"failure": 1, "timeouts": 2, "retries": 1}
    assert runs.get_stats(*runs.functions).latency.total == 10.0


REFUSALS = {
    "circuit_breaker": {"circuit_breaker": CircuitBreakerConfig()},
    "rate_limiter": {"rate_limiter": RateLimiterConfig(max_calls=1, period=100)},
    "bulkhead": {"bulkhead": BulkheadConfig(max_concurrent=1)},
}


@pytest.mark.parametrize("stood_in", [False, True])
@pytest.mark.parametrize("stage", REFUSALS)
def test_refusals(colour, decorate, runs, stage, stood_in):
    """Who refused is told; the run was rejected, or a fallback where one stood in."""
    settings = {**REFUSALS[stage], **({"fallback": FallbackConfig("x")} if stood_in else {})}
    go, inside = colour.event(), []

    async def body():
        inside.append(1)
        if stage == "bulkhead":
            await go.wait()

    f = decorate(body, **settings)

    async def refuse():
        await colour.until(lambda: inside)
        end = await colour.end_of(f)
        assert end == "x" if stood_in else isinstance(end, RejectedError)
        go.set()

    async def occupy():
        await colour.go(f)

    async def scenario():
        if stage == "circuit_breaker":
            inside.append("nobody")
            f.circuit_breaker.force_open()
            await refuse()
        else:
            assert await colour.gather(occupy, refuse) == [None, None]

    colour.run(scenario)
    ended = {"fallback": 1, "fallbacks": 1} if stood_in else {"rejected": 1}
    passed = {} if stage == "circuit_breaker" else {"success": 1}
    assert only(runs) == {**passed, **ended, "rejections": {stage: 1}}


def test_a_refusal_between_attempts(colour, decorate, runs):
    """A run whose last attempt the circuit refused counts the refusal and ends as rejected."""
    f = decorate(
        broken,
        circuit_breaker=CircuitBreakerConfig(failure_threshold=1),
        retry=RetryConfig(max_attempts=5, delay=0),
    )
    colour.outcome(f)
    numbers = only(runs)
    assert numbers.pop("rejections") == {"circuit_breaker": 1}
    assert numbers == {"rejected": 1, "retries": 1}


def test_no_thread_for_a_time_limit(runs, clock):
    """A refusal by the timeout stage stands under its own name."""
    go, begun = threading.Event(), threading.Event()

    @resilient(timeout=TimeoutConfig(1, pool_size=1), listeners=[runs], clock=clock)
    def f():
        begun.set()
        go.wait(20)

    def move_on():
        begun.wait(20)
        clock.advance(1)

    threading.Thread(target=move_on).start()
    try:
        for refusal in (TimeoutError, RejectedError):
            with pytest.raises(refusal):
                f()
    finally:
        go.set()
    assert only(runs) == {"failure": 1, "rejected": 1, "timeouts": 1, "rejections": {"timeout": 1}}


def test_a_stage_of_ones_own(runs):
    """A refusal by a stage that we do not know stands under `other`: labels are bounded."""
    for stage in ("mine", "", "circuit_breaker "):
        runs(BulkheadRejected(function_name="f", stage=stage))
    assert runs.get_stats("f").rejections == (0, 0, 0, 0, 3)


def test_cancelled_runs_are_none(runs):
    """A run that was interrupted has not ended: it is counted nowhere."""

    @resilient(listeners=[runs])
    def f():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        f()
    assert runs.functions == []


def test_durations(colour, decorate, clock, runs):
    """A run takes as long as all its attempts and pauses."""

    def body():
        clock.advance(0.5)
        raise OSError

    f = decorate(body, retry=RetryConfig(max_attempts=2, delay=2, jitter=None))
    colour.outcome(f)
    assert runs.get_stats(*runs.functions).latency.total == 3.0


def test_a_pipeline_within_a_pipeline(colour, decorate, runs):
    """Each function counts its own runs; a refusal of the inner one is a failure of the outer, which was called."""
    inner = decorate(lambda: 1, circuit_breaker=CircuitBreakerConfig())

    async def call():
        return await colour.go(inner)

    outer = colour.decorate(call, listeners=[runs])
    colour.call(outer)
    inner.circuit_breaker.force_open()
    assert isinstance(colour.outcome(outer), CircuitOpenError)
    stats = {label.rpartition(".")[2]: runs.get_stats(label) for label in runs.functions}
    assert stats["<lambda>"].numbers() | {"success": 1, "rejected": 1} == stats["<lambda>"].numbers()
    assert stats["<lambda>"].rejections[0] == 1
    assert (stats["call"].success, stats["call"].failure, stats["call"].rejected) == (1, 1, 0)
    assert stats["call"].rejections == (0,) * len(STAGES)


def test_a_cache_brings_them(colour, clock):
    """With `enable_metrics` the runs are counted as well; cache hits are no runs."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(enable_metrics=True), clock=clock)
    for _ in range(3):
        colour.call(f, 1)
    assert isinstance(f.pipeline.metrics, PipelineMetrics)
    assert only(f.pipeline.metrics) == {"success": 1}


def test_those_given_by_hand_are_taken(colour, clock, runs):
    """A cache with metrics does not bring a second listener where one is given."""
    f = colour.decorate(lambda x: x, cache=CacheConfig(enable_metrics=True), clock=clock, listeners=[runs])
    colour.call(f, 1)
    assert f.pipeline.metrics is runs
    assert only(runs) == {"success": 1}


def test_several_pipelines_share_one(colour, decorate, runs):
    """Functions of several pipelines stand under labels of their own: module and qualified name."""

    def one():
        return 1

    def two():
        raise OSError

    first, second = decorate(one), decorate(two)
    for f in (first, first, second):
        colour.outcome(f)
    assert runs.functions == [f"{__name__}.one", f"{__name__}.two"]
    assert (runs.get_stats(f"{__name__}.one").success, runs.get_stats(f"{__name__}.two").failure) == (2, 1)


def test_functions_of_one_name_elsewhere(runs):
    """The label has the module: equal names of two modules stay apart, whatever `name=` events bear."""

    def make(module):
        def f():
            return 1

        f.__module__ = module
        return resilient(listeners=[runs], name="same")(f)

    for module in ("shop", "stock"):
        make(module)()
    assert runs.functions == ["shop.f", "stock.f"]


def test_labels_come_from_names_alone(runs):
    """Neither arguments nor texts of errors become labels: a thousand different failures are one function."""

    @resilient(listeners=[runs])
    def f(x):
        raise ValueError(f"no {x}")

    for x in range(1000):
        with pytest.raises(ValueError, match=r"no"):
            f(x)
    assert only(runs) == {"failure": 1000}


def test_asking_for_what_was_not_heard_of(runs):
    """A function nobody has heard of has no runs, and asking for it does not make it known."""
    assert runs.get_stats("nobody") == runs.get_stats("nobody", 60) == RunSnapshot()
    assert runs.functions == []


def test_events_by_hand(runs):
    """Plain events count as those of the library do."""
    runs(ResilienceEvent(event_type=EventType.SUCCESS, function_name="f", duration=0.5))
    runs(ResilienceEvent(event_type=EventType.FAILURE, function_name="f", duration=0.5, error=OSError()))
    runs(ResilienceEvent(event_type=EventType.FAILURE, function_name="f", error=CircuitOpenError("f", None, None)))
    runs(Succeeded(function_name="f", stood_in=True))
    runs(ResilienceEvent(event_type=EventType.CIRCUIT_REJECTED, function_name="f"))
    runs(ResilienceEvent(event_type=EventType.CACHE_HIT, function_name="g"))
    stats = runs.get_stats("f")
    assert (stats.success, stats.failure, stats.rejected, stats.fallback) == (1, 1, 1, 1)
    assert (sum(stats.rejections), stats.latency.total, stats.latency.count) == (1, 1.0, 4)
    assert runs.functions == ["f"]


def test_reset_and_restore(runs):
    """A reset forgets all; what is restored adds to the whole and not to the windows."""
    runs(Failed(function_name="f", error=OSError(), duration=2.0))
    runs(BulkheadRejected(function_name="f"))
    kept = runs.get_stats("f")
    runs.reset()
    assert runs.functions == []
    runs.restore("f", kept)
    runs.restore("f", kept)
    assert runs.get_stats("f") == kept + kept
    assert runs.get_stats("f", 60) == RunSnapshot()


def test_sums_of_snapshots():
    """Adding is field by field, and the empty one changes nothing."""
    one = RunSnapshot(1, 2, 3, 4, 5, 6, 7, (1, 2, 3, 4, 5))
    assert one + RunSnapshot() == one
    assert (one + one).numbers() == {name: 2 * count for name, count in one.numbers().items()}
    assert (one + one).rejections == (2, 4, 6, 8, 10)


def test_threads_lose_nothing(runs):
    """What many threads run adds up exactly."""

    @resilient(listeners=[runs], retry=RetryConfig(max_attempts=2, delay=0))
    def f(x):
        if x % 2:
            raise OSError

    def work():
        for x in range(200):
            try:
                f(x)
            except OSError:
                pass

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert only(runs) == {"success": 500, "failure": 500, "retries": 500}


def test_a_registry_shares_them(colour, clock):
    """Metrics given to a registry count the functions of all its names."""
    runs = PipelineMetrics(clock=clock)
    registry = ResilienceRegistry(listeners=[runs])
    for name in ("a", "b"):
        registry.register(name, ResilienceConfig(retry=RetryConfig(max_attempts=2, delay=0)))
        colour.outcome(registry.decorator(name)(colour.dye(broken)))
    assert only(runs) == {"failure": 2, "retries": 2}


@pytest.mark.parametrize("sizes", [[0], [-1], [float("nan")], ["x"]])
def test_windows_that_cannot_be(sizes):
    """A wrong window is refused when the listener is made, not when the first event comes."""
    with pytest.raises(ValueError, match=r"got"):
        PipelineMetrics(window_sizes=sizes)
