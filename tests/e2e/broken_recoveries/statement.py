# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the statements that a broken recovery wants, where SCOUT_DSN says."""

import os
import sys

import psycopg

with psycopg.connect(os.environ["SCOUT_DSN"], autocommit=True) as connection:
    connection.execute(sys.argv[1].encode())
