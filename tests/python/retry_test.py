# SPDX-License-Identifier: Apache-2.0
"""What the client does about answers that are late, lost or damaged: no command is executed twice."""

from __future__ import annotations

import random
import unittest
from unittest import mock

import sts6_client
from simulated_link import Clock, Module, NoisyLine, PerfectLine, ScriptedLine, Wire
from sts6_client import BadAnswer, Client, ConnectionLost, NotSent, OutcomeUnknown, TimedOut

_IDENTIFY = "SM?DI"


def credit(number: int) -> str:
    return f"SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H{number:06X}~"


class Simulation(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.module = Module()
        patched = mock.patch.object(sts6_client, "time", self.clock)
        patched.start()
        self.addCleanup(patched.stop)

    def client(self, way: PerfectLine, serial: bool = True, retry: sts6_client.Retry = "repeat",
               **options: float) -> Client:
        client = Client("serial:/dev/null", retry=retry, **options)
        self.wire = Wire(self.clock, self.module, way, serial)
        client._link = sts6_client._TextLink(self.wire, sts6_client._Lines(), retry)
        return client

    def client_in_step(self, way: PerfectLine, serial: bool = True, **options) -> Client:
        """After one credit token over a line that is still good."""
        client = self.client(PerfectLine(), serial, **options)
        self.assertEqual(client.exchange(credit(0)).body, self.module.tokens[credit(0)])
        self.wire.sent.clear()
        self.wire.way = way
        return client

    def check_vends(self, client: Client, sent: list[str], number: int = 1) -> None:
        answer = client.exchange(credit(number))
        self.assertEqual(answer.status, "00")
        self.assertEqual(answer.body, self.module.tokens[credit(number)])
        self.assertEqual(self.module.executed[credit(number)], 1)
        self.assertEqual(self.wire.sent, sent)

    def check_unknown(self, client: Client, kind: type[OutcomeUnknown], sent: list[str],
                      executed: int) -> None:
        with self.assertRaises(kind):
            client.exchange(credit(1))
        self.assertEqual(self.module.executed.get(credit(1), 0), executed)
        self.assertEqual(self.wire.sent, sent)


class OneFault(Simulation):
    """Each fault alone, first in a fresh link and then after a token."""

    def test_nothing_happens(self) -> None:
        self.check_vends(self.client(PerfectLine()), ["GL?RS", "GL?EC", "SM?VC"])
        self.check_vends(self.client(PerfectLine(), serial=False), ["SM?VC"], 2)
        self.check_vends(self.client_in_step(PerfectLine()), ["SM?VC"], 3)

    def test_the_command_is_lost(self) -> None:
        for fault in ("lost", "damaged", "no end"):
            for serial in (True, False):
                with self.subTest(fault=fault, serial=serial):
                    self.module = Module()
                    client = self.client_in_step(ScriptedLine(requests=[fault]), serial)
                    # Without its end the command takes the GL?RR with it, and GL!ER20 is the answer to both.
                    asked = ["GL?RR"] * (2 if fault == "no end" else 1)
                    self.check_vends(client, ["SM?VC", *asked, "SM?VC"])

    def test_the_first_command_of_a_connection_is_lost(self) -> None:
        client = self.client(ScriptedLine(requests=["lost"]), serial=False)
        self.check_vends(client, ["SM?VC", "GL?RR", "SM?VC"])

    def test_the_answer_is_lost(self) -> None:
        for fault in ("lost", "damaged", "no end", "late"):
            for serial in (True, False):
                with self.subTest(fault=fault, serial=serial):
                    self.module = Module()
                    client = self.client_in_step(ScriptedLine(answers=[fault]), serial)
                    again = ["SM?VC", "GL?RR"]
                    self.check_vends(client, again + ["GL?RR"] if fault == "no end" else again)

    def test_noise_before_the_command_is_no_reason_to_send_it_again(self) -> None:
        for serial in (True, False):
            with self.subTest(serial=serial):
                self.module = Module()
                client = self.client_in_step(ScriptedLine(requests=["noise before"]), serial)
                self.check_vends(client, ["SM?VC", "GL?RR"])

    def test_noise_before_the_answer(self) -> None:
        client = self.client_in_step(ScriptedLine(answers=["noise before"]))
        self.check_vends(client, ["SM?VC", "GL?RR"])

    def test_the_same_answer_twice_is_still_an_answer(self) -> None:
        for fault in ("lost", "damaged", "late"):
            client = self.client(PerfectLine())
            self.assertTrue(client.exchange(_IDENTIFY).ok)
            self.wire.way = ScriptedLine(answers=[fault])
            self.assertTrue(client.exchange(_IDENTIFY).ok, fault)

    def test_answers_that_are_alike_prove_nothing(self) -> None:
        for first, second in (("SM?KXPone~", "SM?KXPtwo~"), (credit(1), credit(1))):
            for fault in ({"requests": ["lost"]}, {"answers": ["lost"]}, {"answers": ["damaged"]}):
                self.module = Module()
                client = self.client(PerfectLine())
                with mock.patch.object(self.module, "_execute", wraps=self.module._execute) as execute:
                    # Every token is the same one.
                    execute.side_effect = lambda header, message: (
                        "SM!VC00PA~PB~" if header == "SM?VC" else mock.DEFAULT)
                    self.assertTrue(client.exchange(first).ok)
                    self.wire.way = ScriptedLine(**fault)
                    with self.assertRaises(TimedOut):
                        client.exchange(second)
                    count = [call.args[1] for call in execute.call_args_list].count(second)
                    self.assertLessEqual(count, 2 if first == second else 1)

    def test_two_refusals_that_are_alike(self) -> None:
        refused = credit(1).replace("000001", "0000")
        for fault in ({"requests": ["lost"]}, {"answers": ["lost"]}):
            client = self.client(PerfectLine())
            self.assertEqual(client.exchange(refused).status, "40")
            self.wire.way = ScriptedLine(**fault)
            self.assertEqual(client.exchange(refused).status, "40")

    def test_a_refusal_is_an_answer(self) -> None:
        client = self.client(ScriptedLine(requests=["ok", "ok", "lost"]))
        answer = client.exchange(credit(0).replace("000000", "0000"))
        self.assertEqual((answer.status, answer.ok, answer.link_error, answer.body), ("40", False, False, ""))

    def test_an_unknown_command_is_answered_so(self) -> None:
        for serial in (True, False):
            client = self.client(PerfectLine(), serial)
            for _ in range(2):
                answer = client.exchange("SM?ZZ")
                self.assertEqual((answer.status, answer.link_error), ("21", True))
            self.check_vends(client, self.wire.sent + (["GL?RS", "GL?EC", "SM?VC"] if serial else ["SM?VC"]))
            self.module = Module()


class AfterTrouble(Simulation):
    def test_a_late_answer_is_not_taken_for_the_next_one(self) -> None:
        for serial in (True, False):
            with self.subTest(serial=serial):
                self.module = Module()
                client = self.client_in_step(ScriptedLine(answers=["late"]), serial)
                self.check_vends(client, ["SM?VC", "GL?RR"])
                opened = self.wire.opened
                self.wire.sent.clear()
                self.check_vends(client, ["GL?RS", "GL?EC", "SM?VC"] if serial else ["SM?VC"], 2)
                self.assertEqual(self.wire.opened, opened if serial else opened + 1)

    def test_a_second_client_on_the_line_has_left_answers(self) -> None:
        client = self.client(PerfectLine())
        self.wire.open(0)
        self.wire.send(sts6_client._Lines().encode(credit(7)), 0)
        self.check_vends(client, ["SM?VC", "GL?RS", "GL?EC", "SM?VC"])

    def test_time_outs_until_nothing_is_left(self) -> None:
        client = self.client_in_step(ScriptedLine(answers=["lost"] * 4))
        self.check_unknown(client, TimedOut, ["SM?VC", "GL?RR", "GL?RR", "GL?RR"], 1)
        self.module = Module()
        client = self.client_in_step(ScriptedLine(answers=["damaged"] * 4))
        self.check_unknown(client, BadAnswer, ["SM?VC", "GL?RR", "GL?RR", "GL?RR"], 1)

    def test_a_command_that_never_arrives(self) -> None:
        client = self.client_in_step(ScriptedLine(requests=["lost"] * 9))
        self.check_unknown(client, TimedOut, ["SM?VC", "GL?RR", "GL?RR", "GL?RR"], 0)

    def test_the_time_of_an_exchange_ends_it(self) -> None:
        client = self.client_in_step(ScriptedLine(answers=["lost"] * 9), retries=100, timeout=4.0)
        began = self.clock.now
        self.check_unknown(client, TimedOut, ["SM?VC", "GL?RR", "GL?RR"], 1)
        self.assertEqual(self.clock.now, began + 4.0)

    def test_a_serial_line_without_a_module(self) -> None:
        client = self.client(ScriptedLine(requests=["lost"] * 99))
        with self.assertRaises(NotSent):
            client.exchange(credit(1))
        self.assertEqual(set(self.wire.sent), {"GL?RS"})

    def test_none_sends_once(self) -> None:
        for fault, kind in (("lost", TimedOut), ("damaged", BadAnswer), ("late", TimedOut)):
            self.module = Module()
            client = self.client_in_step(ScriptedLine(answers=[fault]), retry="none")
            self.check_unknown(client, kind, ["SM?VC"], 1)
        client = self.client_in_step(ScriptedLine(requests=["damaged"]), retry="none")
        answer = client.exchange(credit(2))
        self.assertEqual((answer.status, answer.link_error), ("20", True))

    def test_resend_makes_a_second_token(self) -> None:
        client = self.client_in_step(ScriptedLine(answers=["lost"]), retry="resend")
        self.assertTrue(client.exchange(credit(1)).ok)
        self.assertEqual(self.wire.sent, ["SM?VC", "SM?VC"])
        self.assertEqual(self.module.executed[credit(1)], 2)
        self.wire.sent.clear()
        self.wire.way = ScriptedLine(requests=["damaged"])
        self.check_vends(self.client_in_step(ScriptedLine(requests=["damaged"]), retry="resend"),
                         ["SM?VC", "SM?VC"], 3)


class Restart(Simulation):
    """A module that goes after it has executed the command: nobody can be asked whether it has."""

    def test_credit_is_not_sent_again(self) -> None:
        for serial in (True, False):
            with self.subTest(serial=serial):
                self.module = Module()
                client = self.client_in_step(ScriptedLine(restart_after=1), serial)
                self.check_unknown(client, ConnectionLost, ["SM?VC", "GL?RR"] if serial else ["SM?VC"], 1)
                self.wire.sent.clear()
                self.check_vends(client, ["GL?RS", "GL?EC", "SM?VC"] if serial else ["SM?VC"], 2)

    def test_nor_is_the_first_one_after_opening(self) -> None:
        client = self.client(ScriptedLine(restart_after=3))
        self.check_unknown(client, ConnectionLost, ["GL?RS", "GL?EC", "SM?VC", "GL?RR"], 1)

    def test_what_changes_nothing_is_sent_again(self) -> None:
        for serial in (True, False):
            client = self.client_in_step(ScriptedLine(restart_after=1), serial)
            self.assertTrue(client.exchange(_IDENTIFY).ok)

    def test_unless_it_shall_not_be(self) -> None:
        client = self.client_in_step(ScriptedLine(restart_after=1), serial=False, retry="none")
        with self.assertRaises(ConnectionLost):
            client.exchange(_IDENTIFY)
        self.assertEqual(self.wire.sent, [_IDENTIFY])

    def test_resend_sends_everything_again(self) -> None:
        client = self.client_in_step(ScriptedLine(restart_after=1), serial=False, retry="resend")
        self.assertTrue(client.exchange(credit(1)).ok)
        self.assertEqual(self.module.executed[credit(1)], 2)

    def test_a_module_that_does_not_come_back(self) -> None:
        for retry, message in (("repeat", _IDENTIFY), ("resend", credit(1))):
            client = self.client_in_step(ScriptedLine(restart_after=1), serial=False, retry=retry)
            with mock.patch.object(self.wire, "open", side_effect=ConnectionRefusedError("refused")):
                with self.assertRaises(ConnectionLost):  # not NotSent: it was sent once
                    client.exchange(message)

    def test_a_connection_that_ended_between_two_exchanges(self) -> None:
        client = self.client_in_step(PerfectLine(), serial=False)
        self.wire._cut = True
        self.check_vends(client, ["SM?VC"])
        self.assertEqual(self.wire.opened, 2)


class ErrorState(Simulation):
    def test_it_is_an_answer(self) -> None:
        for serial in (True, False):
            client = self.client_in_step(PerfectLine(), serial)
            self.module.failed = True
            answer = client.exchange(credit(1))
            self.assertEqual((answer.status, answer.link_error, answer.ok), ("58", True, False))
            self.module.failed = False

    def test_it_is_the_answer_on_a_serial_line_just_opened(self) -> None:
        self.module.failed = True
        client = self.client(PerfectLine())
        self.assertEqual(client.exchange(credit(1)).status, "58")
        self.assertEqual(self.wire.sent, ["GL?RS"])
        self.module.restart()
        self.wire.sent.clear()
        self.check_vends(client, ["GL?RS", "GL?EC", "SM?VC"])

    def test_it_says_nothing_of_a_command_whose_answer_was_lost(self) -> None:
        module = self.module

        class FailsLater(ScriptedLine):
            def answer(self, octets: bytes) -> bytes:
                module.failed = True
                return super().answer(octets)

        client = self.client_in_step(FailsLater(answers=["lost"]))
        self.check_unknown(client, BadAnswer, ["SM?VC", "GL?RR"], 1)
        self.assertEqual(client.exchange(_IDENTIFY).status, "58")


class AnyNoise(Simulation):
    """Whatever happens on the line: with `repeat` no command is executed twice, and an answer is its own."""

    def vend_through(self, seed: int, serial: bool, restarts: bool) -> tuple[int, int]:
        chance = random.Random(seed)
        self.module = Module()
        client = self.client(NoisyLine(chance, chance.choice([0.05, 0.2, 0.5]), restarts), serial,
                             retries=chance.choice([0, 1, 3, 8]), timeout=chance.choice([2.0, 5.0, 30.0]))
        answered = unknown = 0
        for number in range(1, 9):
            try:
                answer = client.exchange(credit(number))
            except NotSent:
                self.assertNotIn(credit(number), self.module.executed)
            except OutcomeUnknown:
                unknown += 1
                self.assertLessEqual(self.module.executed.get(credit(number), 0), 1)
            else:
                answered += 1
                self.assertEqual(answer.body, self.module.tokens[credit(number)])
                self.assertEqual(self.module.executed[credit(number)], 1)
            load = f"SM?KRP{number}~"
            try:
                if client.exchange(load).ok:
                    self.assertEqual(self.module.executed[load], 1)
            except OutcomeUnknown:
                self.assertLessEqual(self.module.executed.get(load, 0), 1)
            except NotSent:
                self.assertNotIn(load, self.module.executed)
            if chance.random() < 0.2:
                client.close()
            if chance.random() < 0.2:
                self.clock.now += chance.uniform(0, 20)
        return answered, unknown

    def test_no_command_is_executed_twice(self) -> None:
        for serial in (True, False):
            for restarts in (True, False):
                answered = unknown = 0
                for seed in range(300):
                    with self.subTest(serial=serial, restarts=restarts, seed=seed):
                        counts = self.vend_through(seed, serial, restarts)
                        answered += counts[0]
                        unknown += counts[1]
                # Both happen, or nothing was tried.
                self.assertGreater(answered, 600)
                self.assertGreater(unknown, 100)


if __name__ == "__main__":
    unittest.main()
