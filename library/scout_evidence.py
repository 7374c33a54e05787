#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence snapshot as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_evidence
short_description: Save what a Scout pipeline looks like now
version_added: 1.0.0
description:
  - Writes sessions, locks, jobs and their recent runs, settings, table statistics, the dead letters of the incident, samples of
    affected rows and the end of the server's log to a folder, one gzip file of JSON lines each. Taken before anything is
    changed, and bounded in time.
  - Rows are streamed by COPY, so memory does not grow with them. O(full) exports whole tables the same way.
  - A manifest has the SHA-256 of each file, and that of the manifest before it of the same incident in O(folder). The name of the
    folder ends in the first 16 digits of its own. M(scout.recovery.scout_evidence_verify) verifies all that.
  - The folder appears complete or not at all, readable by its owner alone; statements are cut at 1024 bytes.
  - Of a payload only what O(readable) names stays. The rest, and fields that O(mask) names, are replaced by a keyed hash, equal for
    equal values within one export. The key is random and never stored; with a signing key it is made of that and the incident, so
    that values are equal within the incident. What looks like a password, a token, a key or a database's address is removed everywhere.
  - Where the module runs on a remote host, the folder is there.
options:
  folder:
    description: Folder below which one is made for each snapshot, named after incident, database and time.
    type: path
    required: true
  budget_seconds:
    description:
      - How long reading may take, in seconds, without O(full); by default 1, and longer where PostgreSQL expects that much of a large
        pipeline. A section that does not fit is named in the manifest.
    type: float
  health:
    description: A result of M(scout.recovery.scout_health_info), to be kept with it.
    type: dict
    default: {}
  mask:
    description:
      - Fields to be masked, as the names of columns and keys (V(customer_id)) at any depth, or as paths (V(customer.id), and
        V($.event_data.items[*].note) from the root of a row). What stands below such a field is masked, too. Case, blanks,
        digits and signs are ignored, so V(customer_id) also means C(customerId) and C(Customer ID).
      - In statements, messages and log lines a value is masked where such a name tells whose it is; a path of several steps does
        not count there. A statement that names such a field keeps no quoted value but times. With V(email), addresses are
        masked wherever they stand. Numbers of payment cards, Philippine telephone numbers, TIN, SSS and PhilSys numbers are known
        by their forms.
      - An empty list masks nothing.
    type: list
    elements: str
    default:
      [customer_id, customer.id, customer_name, customer.name, customer_email, customer_phone, customer_address, email,
       phone, phone_number, mobile, mobile_number, telephone, tel, tel_no, cellphone, cell_no, contact, contact_number,
       contact_no, viber, whatsapp, gcash_number, address, street, barangay, brgy, house_number, house_no, landmark,
       zip_code, postal_code, first_name, last_name, middle_name, full_name, given_name, family_name, maiden_name,
       surname, nickname, cardholder, recipient, beneficiary, customer, buyer, buyer_name, cashier_name, employee_name,
       birth_date, date_of_birth, dob, birthday, birthplace, loyalty_id, loyalty_number, loyalty_card, card_number,
       card_no, pan, account_number, account_no, iban, tin, tin_number, tin_no, tax_id, sss, sss_number, sss_no, gsis,
       umid, crn, philhealth, pagibig, pcn, psn, philsys, national_id, passport, drivers_license, license_number,
       license_no, senior_citizen, senior_citizen_id, senior_id, sc_id, osca, osca_id, pwd_id, pangalan, apelyido,
       tirahan, kaarawan, kapanganakan, telepono, selpon, numero, mamimili]
  readable:
    description:
      - What stays readable of a payload, in C(event_data) and C(original_payload), as names or paths like those of O(mask). A value
        stays where its field is named, where nothing but C(items), C(store), C(payment) and the like is above it, and where it has
        the form of such a field. Everything else becomes a keyed hash, and so does what O(mask) names.
      - V(*) keeps whole payloads readable, except what O(mask) names; so does an empty O(mask).
    type: list
    elements: str
    default:
      [event_id, transaction_id, original_transaction_id, corrects, store_id, device_id, terminal_id, pos_id,
       register_id, product_id, item_id, line_id, sku, campaign_id, batch_id, items.id, line_items.id, product.id,
       store.id, device.id, transaction.id, event.id, ts, timestamp, event_ts, occurred_at, sold_at, sent_at,
       received_at, ingested_at, created_at, updated_at, processed_at, transaction_date, transaction_time,
       business_date, time_zone, utc_offset, total_amount, net_amount, gross_amount, tax_amount, vat_amount,
       discount_amount, line_amount, amount, unit_price, price, total, subtotal, tax, vat, discount, tendered, change,
       exchange_rate, qty, quantity, units, item_count, line_count, line_number, sequence, currency, currency_code,
       payment_method, payment_type, tender_type, event_type, status, version, schema_version, unit, uom,
       source_system, handshake_triggered, voided, refunded]
  sample_rows:
    description: How many rows at most of each sample, and how many dead letters.
    type: int
    default: 100
  full:
    description:
      - Tables of the pipeline to be exported whole, of the window; the dead letters always with all their entries.
      - Any of V(bronze_events), V(bronze_events_dlq), V(etl_processed), V(silver_transactions), V(silver_line_items) and
        V(alerts), by the names they have in this database.
      - All of them are read on one snapshot, which keeps VACUUM from removing what dies meanwhile.
    type: list
    elements: str
    default: []
  full_seconds:
    description: How long the export of one of these tables may take, in seconds.
    type: float
    default: 3600.0
  required:
    description: Whether it fails where no evidence can be kept; otherwise that is a warning.
    type: bool
    default: true
  url:
    description:
      - Where a finished snapshot is sent besides, such as a bucket; by default E(SCOUT_EVIDENCE_URL). Each file is put there by
        HTTP PUT, below the name of its folder and the manifest last, with the token in E(SCOUT_EVIDENCE_TOKEN) where
        E(SCOUT_EVIDENCE_URL) names the same server.
      - What is no address is a command, which is run without a shell; C({folder}) in it is the folder, C({name}) its name. Without
        C({folder}), the folder is its last word.
      - A snapshot that could not be sent is a warning.
    type: str
  window_start:
    description:
      - Begin of the window that samples and whole tables are taken of. Unless given, six hours before its end.
    type: str
  window_end:
    description: End of that window; now unless given.
    type: str
  time_zone:
    description: Zone of times that are given without an offset, such as Asia/Manila.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
attributes:
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: N/A
    description: Each run writes a new snapshot; C(changed) is always false, because the pipeline is not changed.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Keep a snapshot of the database as it is now
  scout.recovery.scout_evidence:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    folder: evidence

- name: Export what came in meanwhile, whole
  scout.recovery.scout_evidence:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    folder: evidence
    window_start: 2026-11-25T01:00Z
    window_end: 2026-11-25T02:00Z
    full: [bronze_events, bronze_events_dlq]
"""

RETURN = r"""
folder:
  description: Where the snapshot was written; null in check mode, and where none could be kept that is not required.
  returned: success
  type: str
files:
  description: Each file with its size in bytes, rows and SHA-256; none in check mode.
  returned: success
  type: list
  elements: dict
manifest_sha256:
  description: SHA-256 of the manifest; null in check mode.
  returned: success
  type: str
number:
  description: Place in the chain of the incident, from 1; null in check mode.
  returned: success
  type: int
absent:
  description: What is not available here, by section, with the reason; a server log that the role may not read, for example.
  returned: success
  type: dict
seconds:
  description: How long reading took, without whole tables.
  returned: success
  type: float
pending:
  description: How many events are pending, where all of them are in it; null where there may be more.
  returned: success
  type: int
sent:
  description: Whether it was sent to O(url).
  returned: success
  type: bool
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.core import redaction
from ..module_utils.recovery.evidence import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "folder": {"type": "path", "required": True},
    "budget_seconds": {"type": "float"},
    "health": {"type": "dict", "default": {}},
    "mask": {"type": "list", "elements": "str", "default": list(redaction.PERSONAL)},
    "readable": {"type": "list", "elements": "str", "default": list(redaction.READABLE)},
    "sample_rows": {"type": "int", "default": 100},
    "full": {"type": "list", "elements": "str", "default": []},
    "full_seconds": {"type": "float", "default": 3600.0},
    "required": {"type": "bool", "default": True},
    "url": {"type": "str"},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
}


def run(call: Call, params: Params) -> command.EvidenceResult:
    """Takes a snapshot."""
    return command.snapshot(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
