import pytest

from customhouse.collector.routes import Routes
from customhouse.protocols.rudderstack import RudderStack
from customhouse.protocols.segment import Segment


def served(path, method="POST"):
    methods = Routes((Segment(), RudderStack()), {}).methods(path)
    if methods is None:
        return None
    return [(entry.protocol.name, entry.route.word) for entry in methods.get(method, ())]


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_are_served_with_and_without_a_slash(slash):
    assert served(f"/v1/batch{slash}") == [("segment", "batch"), ("rudderstack", "batch")]
    assert served(f"/v1/t{slash}") == [("segment", "track")]
    assert served(f"/beacon/v1/batch{slash}") == [("rudderstack", "batch")]
    assert served(f"/v1/projects/abc/settings{slash}", "GET") == [("segment", "settings")]


@pytest.mark.parametrize(
    "path", ["/", "", "/v1", "/v1/batch//", "//v1/batch", "/v1/projects//settings", "/v1/projects/a/b/settings", "*"]
)
def test_other_paths_are_nobodys(path):
    assert served(path) is None


def test_a_known_path_may_lack_a_method():
    assert served("/v1/batch", "GET") == []
