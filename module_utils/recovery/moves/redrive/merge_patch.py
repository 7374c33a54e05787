# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON merge patches for the payloads of a redrive; pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from decimal import Decimal

from ...core.errors import BadInput
from ...postgres.driver import Jsonb
from ..engine.selection import ANY_ID, identifiers

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Patch = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Repairs:
    """JSON merge patches: one for all, and by the id of an entry or of its event."""

    all: Patch = dataclasses.field(default_factory=dict[str, t.Any])
    by_id: Mapping[str, Patch] = dataclasses.field(default_factory=dict[str, Patch])

    def for_ids(self, *ids: str) -> list[Patch]:
        """The patches of an entry, in the order in which they are applied."""
        return [patch for patch in (self.all, *(self.by_id.get(name) for name in ids)) if patch]

    @property
    def values(self) -> dict[str, t.Any]:
        """What queries bind; `sales` are the transactions that patches name."""
        named = {k: v["transaction_id"] for k, v in self.by_id.items() if isinstance(v.get("transaction_id"), str)}
        for_all = self.all.get("transaction_id")
        return {
            "repair_all": bool(self.all),
            "repaired": list(self.by_id),
            "sales": Jsonb(named),
            "sale_for_all": for_all if isinstance(for_all, str) else None,
        }


def repairs(params: Mapping[str, t.Any]) -> Repairs:
    """The patches that options give. Raises BadInput for what is not JSON or belongs to no id."""
    by_id: dict[str, Patch] = {}
    given: dict[str, t.Any] = params["repairs"] or {}
    for name, patch in given.items():
        if not isinstance(patch, dict):
            raise BadInput(
                f"repairs: the patch for {name} is not a dictionary", next_step="give a JSON merge patch for each id"
            )
        by_id[identifiers([name], "repairs", *ANY_ID)[0]] = _as_json(t.cast("Patch", patch), f"repairs of {name}")
    return Repairs(_as_json(t.cast("Patch", params["repair"] or {}), "repair"), by_id)


def _as_json(patch: Patch, name: str) -> Patch:
    try:
        return json.loads(json.dumps(patch, allow_nan=False))
    except (TypeError, ValueError) as e:
        raise BadInput(
            f"{name} is not JSON",
            said=str(e),
            next_step="quote times and dates; a number is a number, null removes a field",
        ) from e


def merge_patch(target: t.Any, patch: t.Any) -> t.Any:
    """RFC 7396: objects are merged, null removes, anything else replaces; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    made: dict[str, t.Any] = dict(t.cast("dict[str, t.Any]", target)) if isinstance(target, dict) else {}
    for name, value in t.cast("dict[str, t.Any]", patch).items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge_patch(made.get(name), value)
    return made


def patched(text: str, patches: Sequence[Patch]) -> str:
    """A JSON text with merge patches applied; numbers that no patch touches keep every digit."""
    value: t.Any = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    for patch in patches:
        value = merge_patch(value, patch)
    return _dumps(value)


def _dumps(value: t.Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {_dumps(v)}" for k, v in t.cast("Patch", value).items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_dumps, t.cast("list[t.Any]", value))) + "]"
    return format(value, "f") if isinstance(value, Decimal) else json.dumps(value)
