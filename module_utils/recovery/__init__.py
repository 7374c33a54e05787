# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All logic of the collection; docs/design.md lists the packages."""

from __future__ import annotations

import sys

# An older Python cannot compile the modules of this package, and would only report a syntax error.
if sys.version_info < (3, 12):  # noqa: UP036
    raise ImportError(
        f"scout.recovery needs Python 3.12 or newer, and {sys.executable} is {sys.version.split()[0]}; "
        "set ansible_python_interpreter of this host to a newer one"
    )
