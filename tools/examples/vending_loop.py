#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A vending loop, as short as one that does it right can be. It reads lines "PAN AMOUNT" from standard input,
the amount in tenths of a kWh, vends on one register of a module, and prints a line for each.

    python3 vending_loop.py URL REGISTER [CA-FILE]     (sts6_client.py beside it, or in PYTHONPATH)
"""

from __future__ import annotations

import re
import sys
import time
from datetime import datetime, timedelta

from sts6_client import Client, NotSent, OutcomeUnknown, Response

# Of the meters that this shop sells for. A system of its own has them in its table of meters.
TI, EA, TCT = 1, 11, 2
SUBCLASS = 0  # electricity in kWh

# A token's 16-bit amount is these numbers themselves; larger ones are coded (docs/tokens.md 9).
MOST_TENTHS = 16383
MOST_TID = 0xFFFFFF

PATIENCE = 60.0  # seconds for a module that is being started anew


class NotSold(Exception):
    """No token was made."""


def read_sale(line: str) -> tuple[str, int]:
    # Whatever goes into a message is digits: anything else could bring fields of its own.
    words = re.fullmatch(r"\s*([0-9]{18})\s+(0|[1-9][0-9]{0,4})\s*", line)
    if not words or int(words[2]) > MOST_TENTHS:
        raise NotSold(f"not read: a sale is a PAN of 18 digits and 0 to {MOST_TENTHS} tenths of a kWh")
    return words[1], int(words[2])


def next_tid(base_year: int, last: int, now: datetime) -> int:
    """Minutes of local time since the base year began (docs/tokens.md 8). A meter takes each TID once, so two
    tokens for it need two; minute 00:01 of a day is reserved."""
    tid = max((now - datetime(base_year, 1, 1)) // timedelta(minutes=1), last + 1)
    if tid % (24 * 60) == 1:
        tid += 1
    if now.year < base_year or tid > MOST_TID:
        raise NotSold("not sold: this machine's time is out of the key's range")
    return tid


def answered(answer: Response) -> Response:
    if not answer.ok:
        raise NotSold(f"refused: {answer.status} {answer.meaning}")
    return answer


def ask_until_answered(client: Client, message: str) -> Response:
    """For what changes nothing: it may be asked again and again."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return answered(client.exchange(message))
        except (NotSent, OutcomeUnknown) as error:
            if time.monotonic() > until:
                raise NotSold(f"not sold: {error}") from error
        time.sleep(0.2)


def sell(client: Client, register: int, pan: str, tenths: int, last_tids: dict[str, int]) -> str:
    # The sale begins when the module is there.
    key = ask_until_answered(client, f"SM?GAN{register}~")
    base_date = re.search(";BDT([0-9]{4})", key.body)
    if not base_date:
        raise NotSold("not sold: the register's base date is unknown")
    tid = next_tid(int(base_date[1]), last_tids.get(pan, -1), datetime.now())
    last_tids[pan] = tid  # used, whatever comes of it
    try:
        answer = client.exchange(
            f"SM?VCN{register}~P{pan}~N{TI}~N{EA}~N{TCT}~N{SUBCLASS}~H{tenths:04X}~H{tid:06X}~")
        # Not a refusal, and with retry "none" an answer: it may speak of noise in front of the command.
        if answer.link_error and answer.status == "20":
            raise OutcomeUnknown("a damaged command, or noise before it")
        answered(answer)
    except NotSent as error:
        raise NotSold(f"not sold: {error}") from error
    except OutcomeUnknown as error:
        # The module may have made the token and taken it from the limits. Asking for another one would sell
        # twice; somebody must look for this TID in the module's audit log.
        raise NotSold(f"UNKNOWN: {error}; a token of TID {tid:X} may have been made: see the audit log "
                      "before selling again") from error
    try:
        digits = answer.fields[1].value
    except (ValueError, IndexError) as error:
        raise NotSold("UNKNOWN: an answer without a token") from error
    return "token " + " ".join(digits[at:at + 4] for at in range(0, len(digits), 4))


def main() -> int:
    if len(sys.argv) not in (3, 4) or not sys.argv[2].isdecimal():
        print("usage: vending_loop.py URL REGISTER [CA-FILE]", file=sys.stderr)
        return 2
    try:
        client = Client(sys.argv[1], tls_ca=sys.argv[3] if len(sys.argv) == 4 else None)
    except (ValueError, OSError) as error:
        print(f"usage: {error}", file=sys.stderr)
        return 2
    # A system of its own stores them: this program, started again within the minute, uses a TID twice.
    last_tids: dict[str, int] = {}
    all_sold = True
    with client:
        for line in sys.stdin:
            line = line.rstrip("\n")
            try:
                text = sell(client, int(sys.argv[2]), *read_sale(line), last_tids)
            except NotSold as reason:
                text = str(reason)
                all_sold = False
            print(f"{line}: {text}", flush=True)
    return 0 if all_sold else 1


if __name__ == "__main__":
    sys.exit(main())
