# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of a captured release, for a person and for a machine."""

from __future__ import annotations

import typing as t

from ..core.times import readable
from ..release.captures import document as captures_document
from .gate import GATE

if t.TYPE_CHECKING:
    from collections.abc import Mapping

Result = dict[str, t.Any]

OPERATION: t.Final = "capture_release"
WHICH: t.Final = (
    *("release", "capture_id", "digest", "captured_at", "git_commit", "objects", "kinds"),
    *("compared", "differs", "differing", "protected", "release_file"),
)


def of_capture(result: Mapping[str, t.Any]) -> bool:
    """Whether this is what a capture came to, or would."""
    return result.get("operation") == "capture"


def as_document(result: Mapping[str, t.Any]) -> Result | None:
    """The capture for a machine; None where there was none, or where it came to nothing."""
    return {name: result[name] for name in WHICH} if of_capture(result) else None


def parts(result: Mapping[str, t.Any]) -> dict[str, str]:
    """What it has, and what differs from the capture before, each on lines of its own; a refusal says it in its own words."""
    if not of_capture(result) or result.get("failed"):
        return {}
    return {"holds": captures_document.counted(result["kinds"]), "since": _since(result)}


def _since(result: Mapping[str, t.Any]) -> str:
    compared: Result = result["compared"] or {}
    differs: Result = result["differs"] or {}
    if not compared or not result["differing"]:
        return ""
    changes = captures_document.Changes(
        added=tuple(differs["added"]),
        dropped=tuple(differs["dropped"]),
        renamed=tuple((old, new) for old, new in differs["renamed"]),
        changed={key: tuple(names) for key, names in differs["changed"].items()},
    )
    return f"{compared['release']} of {readable(compared['captured_at'])[:16]} UTC: {changes.first()}"


def what_next() -> list[str]:
    """What to do once it is captured."""
    return [f"deploy, then {GATE}"]
