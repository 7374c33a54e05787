# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of a page: a team's own before those that come with the collection, and whatever others said is escaped."""

from __future__ import annotations

import functools
import re
import traceback
import typing as t
from pathlib import Path

import jinja2
from markupsafe import Markup

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.markdown import ACTIVE, escaped

OURS: t.Final = Path(__file__).parent / "templates"
#: What a reader of a table takes in; the JSON has all of it.
LONGEST: t.Final = 400
#: And of a text that stands alone.
LINES: t.Final = 8
LONGEST_BLOCK: t.Final = 1000
#: What backticks around it, in a cell of a table, would not hold.
QUOTING: t.Final = re.compile(r"[`|\\]")


def one_line(text: str, longest: int = LONGEST) -> str:
    """A text of others, fit to stand in a row."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[:longest].rstrip() + " …"


def short(text: str, lines: int = LINES, longest: int = LONGEST_BLOCK) -> str:
    """The beginning of what others said, its lines kept: an error of PostgreSQL quotes whole functions."""
    kept = "\n".join(text.strip().splitlines()[:lines])[:longest].rstrip()
    return kept if kept == text.strip() else f"{kept} …"


def plain(value: t.Any) -> Markup:
    """Any text as Markdown that says only this, in one line; what is Markdown already stays."""
    if isinstance(value, Markup):
        return value
    text = str(value)
    # A part of a sentence keeps its distance.
    before, after = (" " if text[at : at + 1].isspace() else "" for at in (0, len(text) - 1))
    return Markup(before + escaped(one_line(text)) + after)


def code(value: t.Any) -> Markup:
    """A name, or what a machine said, as code: GitHub makes no links and no messages of it."""
    line = one_line(str(value))
    if line and not QUOTING.search(line):
        return Markup(f"`{line}`")
    return Markup(f"<code>{ACTIVE.sub(lambda found: f'&#{ord(found[0])};', line)}</code>")


def rendered(name: str, context: dict[str, t.Any], folder: Path | None = None) -> str:
    """The template of this name; BadInput that says where, if a team's own cannot be used."""
    if folder is not None and not folder.is_dir():
        raise BadInput(f"the folder of templates {folder} is not there", next_step="correct its name, or go without")
    environment = _environment(folder, name.endswith(".md.j2"))
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateSyntaxError as e:
        raise _unusable(e.name or name, e.lineno, e) from e
    except jinja2.TemplateNotFound as e:
        raise _unusable(name, None, e, f"there is no template {e.name}") from e
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, OSError) as e:
        lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__) if frame.filename.endswith(".j2")]
        raise _unusable(name, lines[-1] if lines else None, e) from e


@functools.cache
def _environment(folder: Path | None, escapes_markdown: bool) -> jinja2.Environment:
    places = [jinja2.FileSystemLoader(place) for place in (folder, OURS) if place is not None]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=plain if escapes_markdown else None,
    )
    made.filters.update(code=code, one_line=one_line, short=short)
    return made


def _unusable(name: str, line: int | None, error: Exception, said: str = "") -> BadInput:
    where = f"{name}, line {line}" if line else name
    return BadInput(
        f"the template {where} cannot be used", said=said or str(error), next_step="correct it, or remove it"
    )
