import signal

from tests import warm

pytest_plugins = ["tests.scout.fixtures"]


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that tests start, even to be interrupted."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Nothing that the tests started outlives them."""
    warm.stop()
