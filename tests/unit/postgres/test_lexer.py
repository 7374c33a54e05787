# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comments, strings and quoted names are told from code as PostgreSQL tells them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lexer

X = "DELETE FROM x"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a -- b\nc", "a  \nc"),
        ("a -- 'b\nc", "a  \nc"),
        ("a /* b */ c", "a   c"),
        ("a /* b /* c */ d */ e", "a   e"),
        ("a /* ' */ b 'c'", "a   b ''"),
        ("a /* cut", "a  "),
        ("'a -- b' c", "'' c"),
        ("'a''b' c", "'' c"),
        (r"E'a\'b' c", "'' c"),
        (r"'a\' b", "'' b"),
        (r"U&'a\'b", "''b"),
        ("U&'a''b' c", "'' c"),
        ("B'01' X'ff' N'n'", "B'' X'' N''"),
        ("a -- b\rc", "a  \rc"),
        ("a -- b\r\nc", "a  \r\nc"),
        ("'a'\n  'b' c", "'' c"),
        (r"E'a'" + "\n" + r"'b\'c' d", "'' d"),
        ('"a$b" c', '"a$b" c'),
        ('U&"a" b', '"a" b'),
        ("$é$a$é$ b", "'' b"),
        ("$\N{SNOWMAN}$a$\N{SNOWMAN}$ b", "'' b"),
        ("$$a$$ b", "'' b"),
        ("$q$a $$ b$q$ c", "'' c"),
        ("a$b$c 'd'", "a$b$c ''"),
        ("$1 + $2", "$1 + $2"),
        ("'cut", "''"),
        ("type'a'", "type''"),
    ],
)
def test_code(text: str, code: str) -> None:
    assert lexer.code(text) == code
    assert "".join(piece.text for piece in lexer.pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a''b'", "a'b"),
        (r"'a\n'", r"a\n"),
        (r"E'a\nb\\c\'d''e'", "a\nb\\c'd'e"),
        (r"e'\x41\102\u0043\U00000044'", "ABCD"),
        (r"E'\U00FFFFFF'", r"\U00FFFFFF"),
        (r"U&'d\0061t\+000061'", "data"),
        (r"U&'a\\b'", r"a\b"),
        ("$$a'b$$", "a'b"),
        ("$q$a$q$", "a"),
        ("$q$cut", "cut"),
        ("'cut", "cut"),
        ('"a""b"', 'a"b'),
        (r'U&"d\0061ta"', "data"),
        ("'a'\n 'b'", "ab"),
        ("'a''\n''b'", "a'\n'b"),
        (r"E'\'" + "'\n'" + r"\n'", "'\n"),
        (r"'a\'" + "\n'b'", r"a\b"),
    ],
)
def test_values(text: str, value: str) -> None:
    [piece] = lexer.pieces(text)
    assert piece.value == value


def test_where_standard_conforming_strings_is_off_a_backslash_escapes_in_plain_strings() -> None:
    text = r"EXECUTE 'SELECT \'it\\\'s\', a'; RAISE NOTICE 'it\'s; DELETE FROM x'; N'\'' c"
    assert " ".join(lexer.runs(lexer.ESCAPING + text).split()) == "EXECUTE SELECT '', a ; RAISE NOTICE ''; N'' c"
    [_, _, said, *_] = lexer.pieces(lexer.ESCAPING + text)
    assert said.value == r"SELECT 'it\'s', a"
    assert "".join(piece.text for piece in lexer.pieces(lexer.ESCAPING + text)) == lexer.ESCAPING + text


#: What a text may run, and what it runs: (text, may, does).
RUNS = {
    "a statement": (X, True, True),
    "a comment": (f"-- {X}", False, False),
    "a nested comment": (f"/* /* */ {X} */", False, False),
    "a string": (f"SELECT '{X}'", False, False),
    "a dollar quote": (f"SELECT $q${X}$q$", False, False),
    "a string that a function gets": (f"SELECT a, public.run('{X}')", True, False),
    "a string that a function gets, after a comment in a string": (f"SELECT run('/*', '{X}')", True, False),
    "a string after a call": (f"SELECT run(1), '{X}'", False, False),
    "a dollar quote that a function gets": (f"SELECT run($q${X}$q$)", True, False),
    "EXECUTE of a string": (f"EXECUTE '{X}'", True, True),
    "EXECUTE of a string with escapes": (r"EXECUTE E'DELETE\nFROM\tx'", True, True),
    "EXECUTE of a string with code points": (r"EXECUTE U&'\0044ELETE FROM x'", True, True),
    "EXECUTE of a dollar quote": (f"EXECUTE $q${X}$q$", True, True),
    "EXECUTE of a comment": (f"EXECUTE '-- {X}'", False, False),
    "EXECUTE of a format": (f"EXECUTE format('{X}')", True, True),
    "EXECUTE of a DO": (f"EXECUTE 'DO ''BEGIN {X}; END'''", True, True),
    "EXECUTE of a string in a string": (f"EXECUTE 'SELECT ''{X}'''", False, False),
    "EXECUTE of a string that a function gets": (f"EXECUTE 'SELECT run(''{X}'')'", True, False),
    "DO": (f"DO $$ BEGIN {X}; END $$", True, True),
    "DO with its language": (f"DO LANGUAGE plpgsql '{X}'", True, True),
    "DO of a message": (f"DO $$ BEGIN RAISE NOTICE '{X}'; END $$", False, False),
    "DO UPDATE is no DO": (f"INSERT INTO y SELECT 1 ON CONFLICT (a) DO UPDATE SET b = '{X}'", False, False),
    "a message": (f"RAISE WARNING 'no %', '{X}'", False, False),
    "a message after a condition": (f"IF a THEN RAISE EXCEPTION '{X}' USING HINT = '{X}'; END IF", False, False),
    "a statement after a message": (f"RAISE NOTICE 'a'; EXECUTE '{X}'", True, True),
    "EXECUTE, and then a value": (f"EXECUTE 'SELECT 1'; a := '{X}'", True, False),
    "a variable that is run": (f"q := '{X}'; EXECUTE q", True, True),
    "a variable with a default that is run": (f"DECLARE q text DEFAULT '{X}'; BEGIN EXECUTE q; END", True, True),
    "a variable that is set with = and run": (f"BEGIN q = '{X}'; EXECUTE q; END", True, True),
    "a variable that a query fills and that is run": (f"SELECT '{X}' INTO q; EXECUTE q", True, True),
    "the rows of a query that are run": (f"FOR q IN SELECT '{X}' LOOP EXECUTE q; END LOOP", True, True),
    "a field of rows that is run": (f"FOR r IN SELECT '{X}' AS q LOOP EXECUTE r.q; END LOOP", True, True),
    "the parts of an array that are run": (f"FOREACH q IN ARRAY ARRAY['{X}'] LOOP EXECUTE q; END LOOP", True, True),
    "a part of an array": (f"RETURN ARRAY['{X}']", True, False),
    "another variable than the one that is run": (f"note := '{X}'; q := 'SELECT 1'; EXECUTE q", True, False),
    "a value beside a variable that is run": (f"SELECT '{X}'; EXECUTE q", False, False),
    "a message about a variable that is run": (f"RAISE NOTICE 'no %: {X}', q; EXECUTE q", False, False),
    "a quoted name": (f'SELECT 1 AS "{X}"', False, False),
    "a comment up to a carriage return": (f"-- a\r{X}", True, True),
    "a variable that is not": (f"q := '{X}'; RETURN q", True, False),
    "a right to execute": (f"GRANT EXECUTE ON FUNCTION f() TO g; q := '{X}'", True, False),
}


@pytest.mark.parametrize(("text", "may", "does"), RUNS.values(), ids=RUNS)
def test_what_runs(text: str, may: bool, does: bool) -> None:
    for reading, wanted in ((lexer.may_run, may), (lexer.runs, does)):
        assert (X in " ".join(reading(text).split())) is wanted, reading


def test_a_string_that_is_put_together_is_not_known() -> None:
    for text, read in (
        ("EXECUTE 'a b' || c", "EXECUTE a b % || c"),
        ("EXECUTE c || 'a b'", "EXECUTE c || %a b"),
        ("EXECUTE 'a b'", "EXECUTE a b"),
        ("EXECUTE 'a b' /* x */ || c", "EXECUTE a b % || c"),
        ("EXECUTE concat('a b', c)", "EXECUTE concat( a b %, c)"),
        ("EXECUTE 'a ' || 'b'", "EXECUTE a b"),
    ):
        assert " ".join(lexer.runs(text).split()) == read


def test_no_quoted_name_is_taken_for_code_and_each_can_be_read() -> None:
    for name in ('delete from x; "y"(1)', "Größe 1", "a$b", "plain"):
        written = '"' + name.replace('"', '""') + '"'
        [shown] = re.findall(lexer.NAME, lexer.code(f"SELECT 1 AS {written}"))[-1:]
        assert (shown, lexer.name(shown)) == (lexer.quoted(name), name)
    assert (lexer.name("Plain"), lexer.quoted("plain")) == ("plain", '"plain"')


@given(st.text(alphabet="ab'\"$-/*\\Ee&U \n;", max_size=60))
def test_no_character_is_lost(text: str) -> None:
    found = list(lexer.pieces(text))
    assert "".join(piece.text for piece in found) == text
    assert all(isinstance(piece.value, str) for piece in found if piece.kind in ("string", "dollar", "name"))
