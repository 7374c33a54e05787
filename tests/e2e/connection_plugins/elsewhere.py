# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""This machine as if it were another one: modules are copied and executed, as over SSH on a bastion."""

from __future__ import annotations

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = r"""
name: elsewhere
short_description: This machine as if it were another one
description:
  - Like the connection local under another name.
author: Scout Recovery contributors
version_added: 0.1.0
extends_documentation_fragment:
  - connection_pipelining
options: {}
"""


class Connection(Local):
    """A local connection that does not say so."""

    transport = "elsewhere"
