"""What of the owed log may go: only what every lane has read and the index of ids holds safely."""

import pytest

from customhouse.app.lanes import publish
from customhouse.app.pipeline import Roads
from customhouse.app.rules import newest, take_in
from customhouse.app.workspace import Workspace

CONFIG = """
name: shop
sources: {web: {write_key: k}}
destinations: {lake: {type: lake}}
routes: [{to: lake}]
"""


@pytest.fixture
def roads(tmp_path):
    place = Workspace(tmp_path, tmp_path / ".data")
    place.prepare()
    (tmp_path / "customhouse.yaml").write_text(CONFIG)
    (tmp_path / "plan").mkdir()
    take_in(place, {})
    return Roads(place, newest(place))


def test_nothing_goes_that_the_index_would_be_rebuilt_from(roads):
    publish(roads._workspace, {}, {"owed/0": 100})
    assert roads.dispensable(0) == -1
    roads.memory(0).checkpoint(40)
    assert roads.dispensable(0) == 40
    roads.memory(0).checkpoint(400)
    assert roads.dispensable(0) == 100
    roads.memory(0).index.close()
