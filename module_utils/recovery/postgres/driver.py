# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""psycopg and cronsim, imported in one place, so that a host without them gets a sentence instead of a traceback."""

from __future__ import annotations

import shlex
import sys
import traceback
import typing as t

from ..core.errors import BadInput

try:
    import psycopg
    from cronsim import CronSim, CronSimError
    from psycopg import adapt, conninfo, errors, rows, sql
    from psycopg.types.json import Jsonb
except ImportError:
    import_error: str | None = traceback.format_exc()

    class _Missing:
        """Whatever is made of it at import is as little there as it is; nothing is ever sent with it."""

        def __getattr__(self, name: str) -> t.Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return self

        def __call__(self, *_args: t.Any, **_values: t.Any) -> t.Any:
            return self

        def __add__(self, other: t.Any) -> t.Any:
            return self

        __radd__ = __or__ = __ror__ = __add__

        def __bool__(self) -> bool:
            return False

    def __getattr__(name: str) -> t.Any:
        """Lets everybody import the names, so that the first who would connect can say what is missing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _Missing()

else:
    import_error = None

__all__ = [
    "CronSim",
    "CronSimError",
    "Jsonb",
    "adapt",
    "conninfo",
    "errors",
    "import_error",
    "psycopg",
    "require",
    "rows",
    "sql",
]


def require() -> None:
    """Raises BadInput, with what to run on this very host, where cronsim, psycopg or the libpq that it needs is missing."""
    if import_error:
        raise BadInput(
            "this Python has no psycopg 3 and cronsim that can be used",
            said=import_error.strip().splitlines()[-1],
            next_step=f"{shlex.quote(sys.executable)} -m pip install 'psycopg[binary]>=3.2' cronsim",
        )
