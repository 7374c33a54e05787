# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of 500 synthetic leaks none is read in evidence; what detect-secrets knows of them it does not find there either."""

from __future__ import annotations

import json
import re

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.scan import scan_line
from detect_secrets.settings import transient_settings

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.redaction import Redactor
from tests.unit.core import leaks

LEAKS = list(leaks.leaks(500))


#: All plugins of detect-secrets that know a secret by its form.
PLUGINS = sorted(
    plugin.__name__
    for plugin in get_mapping_from_secret_type_to_class().values()
    if not plugin.__name__.endswith("HighEntropyString") and plugin.__name__ != "KeywordDetector"
)
REDACTOR = Redactor(key=b"key")


def kept(leak: leaks.Leak) -> str:
    """What evidence has of it, without the digests, in which any few digits may stand."""
    made = REDACTOR.line(json.dumps(leak.row, ensure_ascii=False).encode()).decode()
    json.loads(made)
    return re.sub(r"masked:[0-9a-f]{20}", "masked", made)


def test_none_of_500_passes() -> None:
    passed: list[str] = []
    for leak in LEAKS:
        raw = json.dumps(leak.row, ensure_ascii=False)
        assert any(secret in raw or json.dumps(secret, ensure_ascii=False)[1:-1] in raw for secret in leak.secrets), (
            leak
        )
        made = kept(leak)
        if read := [secret for secret in leak.secrets if secret in made]:
            passed.append(f"{leak.what} in {leak.where}: {read} of {raw} in {made}")
    assert len({json.dumps(leak.row) for leak in LEAKS}) == 500
    assert passed == [], f"{len(passed)} passed"


def test_what_detect_secrets_finds_in_them_it_finds_no_more() -> None:
    """By forms alone: its look for random texts would take each digest for a secret."""
    found: list[bool] = []
    with transient_settings({"plugins_used": [{"name": name} for name in PLUGINS]}):
        for leak in LEAKS:
            # The keyword of a private key is in its first line, and the key in the next ones.
            raw = json.dumps(leak.row, ensure_ascii=False)
            found.append(any(scan_line(raw)))
            assert [secret.type for secret in scan_line(kept(leak))] == [], (raw, kept(leak))
    assert sum(found) > 60, "it knows no longer what leaks, so it cannot tell that they are gone"
