import datetime
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import docker
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import lease
from tests import CHECKOUT, rulebook, warm

pytest_plugins = ["tests.scout.fixtures", "tests.e2e.fixtures", "tests.failover.fixtures"]

# Most tests look and break as the superuser who made the database; that he is refused is tests/security/'s.
os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"


#: What only `make test-all` runs whole, by the beginning of its place, and why `make test` can do with a fourteenth of it. What has the
#: marker `thorough` is of them, too.
SAMPLED = {
    "tests/e2e": "whole playbooks; each command is tested on a database, and `make check` has a reset and a rollback",
    "tests/failover": "two servers, one killed and the other promoted, under each operation",
    "tests/integration/drills": "playbooks as a drill runs them, and the guard of its database",
    "tests/integration/evidence": "snapshots and archives of whole databases",
    "tests/integration/health": "each fault, assessed and gated; what is judged is the same table for all",
    "tests/integration/healthy": "each healthy deployment, proved and gated; a new one passes for the same reason",
    "tests/integration/hosted": "roles and grants of hosted services, each on a server of its own",
    "tests/integration/incidents": "whole incidents, and their reports",
    "tests/integration/moves": "every mover, every promise, every place to be ended at",
    "tests/integration/pipeline": "drains, pauses and proofs under load and on broken pipelines",
    "tests/integration/reference": "the reference pipeline, which changes rarely",
    "tests/integration/release": "pairs of schemas, wrecks, rehearsals",
    "tests/security": "the attacks: all of them before a change is taken",
}
#: Which share comes today; set, so that all workers take the same one, and a run can be repeated.
DAY = "SCOUT_TEST_DAY"
SHARES = 14
#: So many tests of a file are few.
FEW = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sampled", action="store_true", help="of what only `make test-all` runs whole take today's share"
    )


def pytest_configure() -> None:
    """One day for all workers; and what a shell starts in the background ignores SIGINT, as would all that tests start, even to be
    interrupted."""
    os.environ.setdefault(DAY, str(datetime.datetime.now(datetime.UTC).timetuple().tm_yday))
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """Four on two cores: a worker waits for nearly half of its time."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session", autouse=True)
def _nobody_waits_for_a_lease() -> Iterator[None]:
    """Whoever is refused in this process is refused at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "MOST_WAIT_SECONDS", 0.0)
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What needs Docker or ansible-rulebook is left out before any of its fixtures where there is none."""
    if item.get_closest_marker("docker") and not docker.answers():
        pytest.skip("no Docker server answers")
    if item.get_closest_marker("eda") and not rulebook.installed():
        pytest.skip("ansible-rulebook is not ready: `make eda` gets it")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow come first, so that no worker is left alone at the end: whole playbooks, then modules, then what is pure."""
    if config.getoption("--sampled"):
        sampled = units(item for item in items if is_sampled(item))
        gone = sampled.keys() - todays(sampled, int(os.environ[DAY]))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in gone])
        items[:] = [item for item in items if item.nodeid not in gone]
    number = Counter(item.path for item in items)
    floors = [CHECKOUT / "tests" / name for name in ("e2e", "failover", "security", "integration", "scout")]

    def place(path: Path) -> tuple[int, int]:
        floor = next((at for at, folder in enumerate(floors) if path.is_relative_to(folder)), len(floors))
        return floor, -number[path]

    places = {path: place(path) for path in number}
    items.sort(key=lambda item: places[item.path])


def is_sampled(item: pytest.Item) -> bool:
    """Whether a share of its kind is enough for `make test`. What reads texts of the project alone, without a fixture, is quick and
    breaks with any change of them."""
    if item.get_closest_marker("thorough") is not None:
        return True
    texts_only = not hasattr(item, "callspec") and not {*getattr(item, "fixturenames", ())} - {"request"}
    return item.nodeid.startswith((*SAMPLED,)) and not texts_only


def units(items: Iterable[pytest.Item]) -> dict[str, str]:
    """What comes on the same day as each test, by their names: nothing else, or the few of its file that share what the file makes
    for them all, which costs more than they do."""
    sharing = defaultdict[str, list[str]](list)
    for item in items:
        fixtures = [found[-1] for found in item._fixtureinfo.name2fixturedefs.values()]  # type: ignore[attr-defined]
        own = [one for one in fixtures if one.scope == "module" and one.func.__module__ == item.module.__name__]  # type: ignore[attr-defined]
        sharing[item.path.as_posix() if own else item.nodeid].append(item.nodeid)
    return {name: names[0] if len(names) <= FEW else name for names in sharing.values() for name in names}


def todays(units: Mapping[str, str], day: int) -> set[str]:
    """The tests of this day of the year, a fourteenth; of any two weeks each test is on one day. They are dealt out in the order of
    their names, so that a file of which each test takes long takes as much of each day."""
    dealt = {unit: number % SHARES for number, unit in enumerate(sorted({*units.values()}))}
    return {name for name, unit in units.items() if dealt[unit] == day % SHARES}


def pytest_unconfigure() -> None:
    """Nothing that the tests started outlives them."""
    warm.stop()
