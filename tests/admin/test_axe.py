"""axe-core on every page of the console, light and dark, on a phone and on a desk; and nothing sticks out."""

import pytest

from tests.account.scene import Scene
from tests.account.test_axe import HALVES, faults_of_views
from tests.admin.views import VIEWS


@pytest.mark.parametrize("part", HALVES)
async def test_axe_finds_nothing_serious_in_the_console_and_nothing_sticks_out(stage: Scene, part: int) -> None:
    assert await faults_of_views(stage, dict(list(VIEWS.items())[part :: len(HALVES)])) == {}
    assert len(VIEWS) >= 29
