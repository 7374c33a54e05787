# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two connection strings are one database where their server has an address in common and the name is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils.right_database import Host, refuse_nameless, refuse_shared

SAME = {
    "spelt differently": ("postgresql://ana@127.0.0.1/scout", "host=127.0.0.1 port=5432 dbname=scout user=ben"),
    "a name and its address": ("host=localhost dbname=scout", "hostaddr=127.0.0.1 dbname=scout"),
    "both versions of IP": ("host=127.0.0.1 dbname=scout", "postgresql://[::1]/scout"),
    "a socket and loopback": ("host=/run/pg dbname=scout", "host=localhost dbname=scout"),
    "case": ("host=DB.invalid dbname=scout", "host=db.invalid dbname=scout"),
    "one of several": ("host=192.0.2.1,192.0.2.2 dbname=scout", "host=192.0.2.2 dbname=scout"),
    "called as its user": ("host=192.0.2.1 user=scout", "host=192.0.2.1 user=ana dbname=scout"),
    "of the service": ("service=luzon", "host=192.0.2.7 port=5433 dbname=scout"),
    "of the environment": ("dbname=scout", "host=192.0.2.9 dbname=scout"),
}
OTHER = {
    "another name": ("host=192.0.2.1 dbname=scout_a", "host=192.0.2.1 dbname=scout_b"),
    "another port": ("host=192.0.2.1 port=5433 dbname=scout", "host=192.0.2.1 dbname=scout"),
    "another address": ("host=192.0.2.1 dbname=scout", "host=192.0.2.2 dbname=scout"),
    "another socket": ("host=/run/a dbname=scout", "host=/run/b dbname=scout"),
    "one that nobody can read": ("host=192.0.2.1 dbname=scout", "://"),
}


@pytest.fixture(autouse=True)
def libpq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service file, and an environment that names a server."""
    (tmp_path / "services").write_text("[luzon]\nhost=192.0.2.7\nport=5433\ndbname=scout\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("PGHOST", "192.0.2.9")
    for name in ("PGPORT", "PGDATABASE", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("how", SAME)
def test_one_database(how: str) -> None:
    one, two = SAME[how]
    with pytest.raises(BadInput, match="hosts a and b are one database"):
        refuse_shared({"a": Host(one), "b": Host(two)})


@pytest.mark.parametrize("how", OTHER)
def test_two_databases(how: str) -> None:
    one, two = OTHER[how]
    refuse_shared({"a": Host(one), "b": Host(two)})


def test_the_same_words_elsewhere_are_another_database() -> None:
    """A bastion's localhost is its own; of two hosts behind one bastion it is the same."""
    here = Host("host=localhost dbname=scout")
    refuse_shared({"a": here, "b": here._replace(seen_from="bastion"), "c": here._replace(seen_from="other")})
    with pytest.raises(BadInput, match="hosts b and c"):
        refuse_shared({"a": here, "b": here._replace(seen_from="bastion"), "c": here._replace(seen_from="bastion")})


def test_a_host_with_an_environment_of_its_own_needs_no_connection_string() -> None:
    refuse_nameless({"a": Host(None, "a"), "b": Host(None, "b")})
    refuse_nameless({"a": Host(None)})
    with pytest.raises(BadInput, match="host b has no scout_dsn, nor have 1 more, and is one of 3"):
        refuse_nameless({"a": Host("dbname=scout"), "b": Host(None), "c": Host(None)})
