# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A target whose Python is too old is told which one it needs."""

from __future__ import annotations

import runpy
import sys

import pytest

from tests import CHECKOUT


def test_an_old_python_is_refused_by_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    monkeypatch.setattr(sys, "version", "3.11.2 (main)")
    with pytest.raises(ImportError, match=r"needs Python 3\.12 or newer, and .* is 3\.11\.2"):
        runpy.run_path(str(CHECKOUT / "module_utils" / "recovery" / "__init__.py"))
