# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The broken pipelines of the playbooks' tests."""

from __future__ import annotations

from tests.e2e.conftest import another_broken, broken_template

__all__ = ["another_broken", "broken_template"]
