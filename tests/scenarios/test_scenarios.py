"""REST, gRPC and the library are three ways to one service: the same steps are told the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.facts import Facts, differences
from tests.scenarios.scenarios import SCENARIOS, Scenario
from tests.scenarios.stage import INTERFACES


async def told(interface: str, scenario: Scenario) -> Any:
    """What a scenario is told over one interface."""
    async with INTERFACES[interface]() as stage:
        return Facts().plain(await scenario(stage))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_every_interface_tells_the_same(scenario: Scenario) -> None:
    by_rest = await told("rest", scenario)
    assert differences(by_rest, await told("grpc", scenario)) == []
    assert differences(by_rest, await told("runner", scenario)) == []
