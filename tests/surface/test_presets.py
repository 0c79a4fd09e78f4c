"""Ready-made settings."""

import pytest

from pyresilience import db_policy, http_policy, llm_policy, queue_policy, resilient, strict_policy

PRESETS = [http_policy, db_policy, queue_policy, strict_policy, llm_policy]


@pytest.mark.parametrize("preset", PRESETS)
def test_it_is_what_the_decorator_takes(colour, preset):
    """A function decorated with a preset works."""
    assert colour.call(resilient(**preset())(colour.dye(lambda x: x)), 1) == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_it_bounds_every_call(preset):
    """No preset lets a call run for ever, or hammers what keeps failing."""
    assert {"timeout", "circuit_breaker"} <= preset().keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_it_is_a_new_mapping_each_time(preset):
    """Changing what was returned does not change the preset."""
    preset().clear()
    assert preset()


@pytest.mark.parametrize("preset", PRESETS)
def test_functions_with_one_preset_share_nothing(preset):
    """Each decoration makes stages of its own."""
    f, g = (resilient(**preset())(lambda: 1) for _ in range(2))
    f.circuit_breaker.force_open()
    assert g() == 1
