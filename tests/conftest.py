import datetime
import os
import signal
import zlib
from collections import Counter

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import docker
from tests import CHECKOUT, rulebook, warm

pytest_plugins = ["tests.scout.fixtures"]

# Most tests look and break as the superuser who made the database; that he is refused is tests/security/'s.
os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"


#: What only `make test-all` runs whole, by the beginning of its place, and why `make test` can do with a fifth of it. What has the
#: marker `thorough` is of them, too.
SAMPLED = {
    "tests/e2e/test_application_rollback.py": "each way to roll an application back has tests of its modules",
    "tests/e2e/test_assess_metrics.py": "what a metric says is a unit test; here each file is written by a playbook",
    "tests/e2e/test_browser.py": "pages in a browser; what they say is a unit test",
    "tests/e2e/test_command.py": "real shells and terminals around words that unit tests take apart",
    "tests/e2e/test_crash.py": "a reset ended at each place; moves are ended at each in tests/integration",
    "tests/e2e/test_demo": "the four demonstrations, whole; `make demo` is one of them",
    "tests/e2e/test_deploy_pipeline.py": "each end of a deployment, whole; its program is tested in units",
    "tests/e2e/test_door.py": "how the tests start playbooks",
    "tests/e2e/test_drill": "each scenario, whole; what a drill consists of is tested in tests/integration/drills",
    "tests/e2e/test_foreign_project.py": "an installed collection in a project of others",
    "tests/e2e/test_gameday.py": "rounds of game days; their kinds and claims are tested in units",
    "tests/e2e/test_gate.py": "the gate by its playbook; each check is tested on a database",
    "tests/e2e/test_hosted.py": "every playbook on hosted services; scripts and modules are tested there in tests/integration/hosted",
    "tests/e2e/test_in_process.py": "whole stories by Ansible and in the process of the test",
    "tests/e2e/test_incident": "whole incidents; each command is tested on a database",
    "tests/e2e/test_installed.py": "an installed collection, which changes only with the build",
    "tests/e2e/test_kept_screens.py": "the screens of the pages",
    "tests/e2e/test_move_playbooks.py": "movers by their playbooks; each is tested on a database",
    "tests/e2e/test_moves_broken_off.py": "playbooks ended at each place",
    "tests/e2e/test_names.py": "one name from the command line to the ledger",
    "tests/e2e/test_own_plays.py": "plays of others",
    "tests/e2e/test_picture.py": "pictures of screens",
    "tests/e2e/test_report.py": "reports of incidents",
    "tests/e2e/test_rollback": "whole rollbacks; one of them is in `make check`",
    "tests/e2e/test_runbook.py": "the sections of the runbook, typed",
    "tests/e2e/test_runner.py": "everything through ansible-runner",
    "tests/e2e/test_scorecard.py": "scorecards of drills; their forms are unit tests",
    "tests/e2e/test_site.py": "the site of the documentation",
    "tests/e2e/test_under_fire.py": "resets with writers at work",
    "tests/e2e/test_unnamed_faults.py": "156 faults; each kind of check is tested on a database",
    "tests/e2e/test_warm.py": "how the tests fork playbooks",
    "tests/e2e/test_watch.py": "watches, which take their time",
    "tests/e2e/test_ways.py": "each way to a database",
    "tests/integration/application": "real repositories and processes",
    "tests/integration/drills": "sandboxes and clones of whole databases",
    "tests/integration/hosted": "roles and grants of hosted services, each on a server of its own",
    "tests/integration/moves": "every mover, every promise, every place to be ended at",
    "tests/integration/reference": "the reference pipeline, which changes rarely",
    "tests/integration/release": "pairs of schemas, wrecks, rehearsals",
    "tests/security": "the attacks: all of them before a change is taken",
}
#: Which fifth comes today; set, so that all workers take the same one, and a run can be repeated.
DAY = "SCOUT_TEST_DAY"
FIFTHS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sampled", action="store_true", help="of what only `make test-all` runs whole take today's fifth"
    )


def pytest_configure() -> None:
    """One day for all workers; and what a shell starts in the background ignores SIGINT, as would all that tests start, even to be
    interrupted."""
    os.environ.setdefault(DAY, str(datetime.datetime.now(datetime.UTC).timetuple().tm_yday))
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
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow come first, so that no worker is left alone at the end: whole playbooks, then modules, then what is pure."""
    if config.getoption("--sampled"):
        left = [item for item in items if is_sampled(item) and not is_todays(item.nodeid, int(os.environ[DAY]))]
        config.hook.pytest_deselected(items=left)
        gone = set(left)
        items[:] = [item for item in items if item not in gone]
    number = Counter(item.path for item in items)
    floors = [CHECKOUT / "tests" / name for name in ("e2e", "integration", "scout")]

    def place(item: pytest.Item) -> tuple[int, int]:
        floor = next((at for at, folder in enumerate(floors) if item.path.is_relative_to(folder)), len(floors))
        return floor, -number[item.path]

    items.sort(key=place)


def is_sampled(item: pytest.Item) -> bool:
    """Whether a fifth of its kind is enough for `make test`."""
    return item.nodeid.startswith((*SAMPLED,)) or item.get_closest_marker("thorough") is not None


def is_todays(nodeid: str, day: int) -> bool:
    """Whether a sampled test is of the fifth of this day of the year; each is of one of any five days in a row."""
    return zlib.crc32(nodeid.encode()) % FIFTHS == day % FIFTHS


def pytest_unconfigure() -> None:
    """Nothing that the tests started outlives them."""
    warm.stop()
