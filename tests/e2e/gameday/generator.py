# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts from a seed, and smaller scripts that fail in the same way: Hypothesis does both."""

from __future__ import annotations

import typing as t

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.gameday.kinds import DISTURBANCES, FAULTS, OPERATORS, TYPED
from tests.e2e.gameday.script import OPERATORS as ROLES
from tests.e2e.gameday.script import VARIANTS, Act, Script

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.gameday.script import Kind, Option

MOST_FAULTS: t.Final = 5
MOST_TYPED: t.Final = 3
LATEST_SECONDS: t.Final = 6.0


def _option(among: tuple[Option, ...]) -> st.SearchStrategy[Option]:
    if all(isinstance(each, int) and not isinstance(each, bool) for each in among) and len(among) == 2:
        low, high = t.cast("tuple[int, int]", among)
        return st.integers(low, high)
    if all(isinstance(each, float) for each in among) and len(among) == 2:
        low, high = t.cast("tuple[float, float]", among)
        return st.integers(round(low * 10), round(high * 10)).map(lambda tenths: tenths / 10)
    return st.sampled_from(among)


def _acts(kinds: tuple[Kind, ...]) -> st.SearchStrategy[Act]:
    moment = st.integers(0, round(LATEST_SECONDS * 10)).map(lambda tenths: tenths / 10)
    return st.one_of(
        [
            st.builds(
                Act,
                moment,
                st.just(kind.name),
                st.fixed_dictionaries({name: _option(among) for name, among in kind.options.items()}),
            )
            for kind in kinds
        ]
    )


# Made once: Hypothesis looks through a strategy each time that one is made, which takes longer than a script.
_FAULTS: t.Final = st.lists(_acts((*FAULTS, *OPERATORS, *DISTURBANCES)), min_size=1, max_size=MOST_FAULTS)
_TYPED: t.Final = st.lists(_acts(TYPED), max_size=MOST_TYPED)
_VARIANTS: t.Final = st.sampled_from(VARIANTS)
_ROLES: t.Final = st.sampled_from(ROLES)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """One to five faults, among them what operators do; at random times."""
    acts = [*draw(_FAULTS), *draw(_TYPED)]
    return Script(tuple(sorted(acts, key=lambda act: act.at)), variant=draw(_VARIANTS), operator=draw(_ROLES))


def play(number: int, rounds: int, each: Callable[[Script], None]) -> None:
    """Calls it with so many scripts, which are always the same ones for this seed."""

    @seed(number)
    @settings(
        max_examples=rounds,
        database=None,
        deadline=None,
        # A round takes many seconds, so a script that fails is shown as it is.
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(scripts())
    def game(script: Script) -> None:
        each(script)

    game()
