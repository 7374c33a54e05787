# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All faults by name, and which of them are tried how."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.faults import Fault, events, jobs, objects, rights

FAULTS: dict[str, Fault] = {}
for table in (jobs.JOBS, rights.OWNED, objects.OBJECTS, jobs.SEEN, rights.SEEN, objects.SEEN, events.FAULTS):
    assert not FAULTS.keys() & table.keys(), FAULTS.keys() & table.keys()
    FAULTS |= table

#: Those that are looked at.
SEEN = [name for name, fault in FAULTS.items() if fault.seen]
#: Those that are reset, which say whether exit code 0 is true by the next runs.
RESET = [name for name, fault in FAULTS.items() if fault.named]

#: A superuser who owns the pipeline needs no grant and sees all rows, so that these are faults elsewhere alone.
HARMLESS_WHERE_DEPLOYED = ("the ETL's owner may not write silver", "the ETL's owner does not see bronze")
#: The variant on which each is always reset, which is where it tells most; the other pairs are those of `make test-all`.
CHOSEN = [
    # Scout's own switch, which is repaired there, changes jobs as well.
    *((name, "repaired") for name in jobs.JOBS),
    # A superuser owns that pipeline, and its gold of regions is another view.
    *((name, "deployed") for name in rights.OWNED),
    # Tables, functions and triggers as Scout v5.2 has them.
    *((name, "faithful") for name in (*objects.OBJECTS, *HARMLESS_WHERE_DEPLOYED)),
]
REST = [(name, variant) for name in RESET for variant in builder.VARIANTS if (name, variant) not in CHOSEN]
