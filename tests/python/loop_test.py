# SPDX-License-Identifier: Apache-2.0
"""The rules of the example's vending loop that no clock shows on the day of a test."""

from __future__ import annotations

import unittest
from datetime import datetime

import vending_loop
from sts6_client import NotSent, Response, TimedOut
from vending_loop import NotSold, next_tid, read_sale, sell

_PAN = "600727000000000009"


class Tids(unittest.TestCase):
    def test_the_worked_example(self) -> None:
        # 2014-03-01 13:00, base date 2014: H014EEC on the protocol page.
        self.assertEqual(next_tid(2014, -1, datetime(2014, 3, 1, 13, 0, 59)), 0x014EEC)

    def test_the_reserved_minute(self) -> None:
        self.assertEqual(next_tid(2014, -1, datetime(2014, 1, 1, 0, 0)), 0)
        self.assertEqual(next_tid(2014, -1, datetime(2014, 1, 1, 0, 1)), 2)
        self.assertEqual(next_tid(2014, 0, datetime(2014, 1, 1, 0, 0)), 2)
        self.assertEqual(next_tid(2014, -1, datetime(2014, 1, 2, 0, 1)), 1442)

    def test_no_tid_twice(self) -> None:
        now = datetime(2014, 3, 1, 13, 0)
        self.assertEqual(next_tid(2014, 0x014EEC, now), 0x014EED)
        self.assertEqual(next_tid(2014, 0x014FFF, now), 0x015000)  # the clock was set back
        self.assertEqual(next_tid(2014, 0x000001, now), 0x014EEC)

    def test_times_that_have_none(self) -> None:
        for year, now in ((2014, datetime(2013, 12, 31, 23, 59)), (1993, datetime(2025, 1, 1)),
                          (2014, datetime(2045, 12, 1))):
            with self.subTest(now=now), self.assertRaises(NotSold):
                next_tid(year, -1, now)
        with self.assertRaises(NotSold):
            next_tid(2014, 0xFFFFFF, datetime(2014, 3, 1))


class Lines(unittest.TestCase):
    def test_lines(self) -> None:
        self.assertEqual(read_sale(f"{_PAN} 0"), (_PAN, 0))
        self.assertEqual(read_sale(f"  {_PAN}\t16383 "), (_PAN, 16383))
        for line in ("", _PAN, f"{_PAN} 16384", f"{_PAN} 99999", f"{_PAN} 01", f"{_PAN} -1", f"{_PAN} 1.0",
                     f"{_PAN}~ 1", f"{_PAN} 1~", f"{_PAN[1:]} 1", f"0{_PAN} 1", f"{_PAN} \u0661",
                     f"{_PAN} 1\n{_PAN} 1"):
            with self.subTest(line=line), self.assertRaises(NotSold):
                read_sale(line)


class Scripted:
    """Gives answers and raises errors, one after the other."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[str] = []

    def exchange(self, message: str) -> Response:
        self.asked.append(message[:5])
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Response(outcome[5:7], outcome[7:], outcome, outcome.startswith("GL!ER"))


class Sales(unittest.TestCase):
    _KEY = "SM!GA00PACT19930101T000000Z;BDT20140101T000000Z~"

    def check_not_sold(self, module: Scripted, why: str, last_tids: dict[str, int]) -> None:
        with self.assertRaisesRegex(NotSold, why):
            sell(module, 1, _PAN, 1, last_tids)
        self.assertEqual(module._outcomes, [])

    def test_a_time_out_is_no_reason_to_vend_again(self) -> None:
        tids: dict[str, int] = {}
        module = Scripted(self._KEY, TimedOut("no answer in time"))
        self.check_not_sold(module, "^UNKNOWN: no answer in time; a token of TID [0-9A-F]+ may", tids)
        self.assertEqual(module.asked, ["SM?GA", "SM?VC"])
        self.assertIn(_PAN, tids)  # the next sale has another TID

    def test_noise_is_no_refusal(self) -> None:
        module = Scripted(self._KEY, "GL!ER20")
        self.check_not_sold(module, "^UNKNOWN: .* a token of TID [0-9A-F]+ may", {})
        self.assertEqual(module.asked, ["SM?GA", "SM?VC"])

    def test_other_link_errors_are_refusals(self) -> None:
        for code in ("21", "57", "58"):
            self.check_not_sold(Scripted(self._KEY, "GL!ER" + code), f"^refused: {code} ", {})

    def test_what_was_not_sent_is_not_unknown(self) -> None:
        module = Scripted(self._KEY, NotSent("no connection"))
        self.check_not_sold(module, "^not sold: no connection", {})

    def test_the_key_is_asked_for_until_it_comes(self) -> None:
        module = Scripted(NotSent("no connection"), TimedOut("no answer in time"), self._KEY,
                          "SM!VC00P32D98A5616345BE2E~P58625789986991357486~")
        self.assertEqual(sell(module, 1, _PAN, 1, {}), "token 5862 5789 9869 9135 7486")

    def test_but_not_for_ever(self) -> None:
        patience, vending_loop.PATIENCE = vending_loop.PATIENCE, 0.0
        self.addCleanup(setattr, vending_loop, "PATIENCE", patience)
        self.check_not_sold(Scripted(NotSent("no connection")), "^not sold: no connection", {})


if __name__ == "__main__":
    unittest.main()
