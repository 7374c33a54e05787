import os
import signal
from collections import Counter

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import docker
from tests import CHECKOUT, rulebook, warm

pytest_plugins = ["tests.scout.fixtures"]

# Most tests look and break as the superuser who made the database; that he is refused is tests/security/'s.
os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that tests start, even to be interrupted."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Three on two cores: a worker waits for a third of its time."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What needs Docker, or ansible-rulebook, is left out before any of its fixtures where there is none."""
    if item.get_closest_marker("docker") and not docker.answers():
        pytest.skip("no Docker server answers")
    if item.get_closest_marker("eda") and not rulebook.installed():
        pytest.skip("ansible-rulebook is not ready: `make eda` gets it")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow come first, so that no worker is left alone at the end: whole playbooks, then modules, then what is pure."""
    number = Counter(item.path for item in items)
    floors = [CHECKOUT / "tests" / name for name in ("e2e", "integration", "scout")]

    def place(item: pytest.Item) -> tuple[int, int]:
        floor = next((at for at, folder in enumerate(floors) if item.path.is_relative_to(folder)), len(floors))
        return floor, -number[item.path]

    items.sort(key=place)


def pytest_unconfigure() -> None:
    """Nothing that the tests started outlives them."""
    warm.stop()
