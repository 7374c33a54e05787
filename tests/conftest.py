pytest_plugins = ["tests.scout.fixtures"]
