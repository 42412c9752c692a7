# SPDX-License-Identifier: Apache-2.0
"""A module and a bad line to it, in a time of their own: thousands of hours of noise take a second.

The module follows docs/protocol.md: it answers in order, remembers its last answer for GL?RR and executes
whatever arrives whole. Nothing of the client is used here but the errors of its transports.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import sts6_client


def crc(text: bytes) -> bytes:
    value = 0
    for octet in text:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return b"%04X" % value


def line(text: str) -> bytes:
    return text.encode() + crc(text.encode()) + b"\r"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Module:
    """Executed commands are counted by their text; each SM?VC makes a token that no other has."""

    executed: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    memory: str | None = None
    failed: bool = False
    partial: bytes = b""
    made: int = 0

    def restart(self) -> None:
        self.memory = None
        self.partial = b""
        self.failed = False

    def take(self, octets: bytes) -> list[str]:
        """The answers to what arrives."""
        *lines, self.partial = (self.partial + octets).split(b"\r")
        return [answer for one in lines if (answer := self._answer(one))]

    def _answer(self, octets: bytes) -> str | None:
        if not octets:
            return None
        if self.failed:
            return "GL!ER58"
        if len(octets) < 9 or crc(octets[:-4]) != octets[-4:]:
            return "GL!ER20"
        message = octets[:-4].decode()
        header = message[:5]
        if header == "GL?RR":
            return self.memory or "GL!ER21"
        if header == "GL?RS":
            self.memory = None
            return "GL!RS00"
        self.memory = self._execute(header, message)
        return self.memory

    def _execute(self, header: str, message: str) -> str:
        self.executed[message] = self.executed.get(message, 0) + 1
        if header == "GL?EC":
            return "GL!EC00" + message[7:]
        if header == "SM?DI":
            return "SM!DI00PSOFTSM01~PSTS6-001~"
        if header in ("SM?KR", "SM?KX"):
            return f"SM!{header[3:]}00"
        if header != "SM?VC":
            return "GL!ER21"
        if message.endswith("H0000~"):
            return "SM!VC40"
        self.made += 1
        self.tokens[message] = f"P{self.made:017X}~P{self.made:020d}~"
        return "SM!VC00" + self.tokens[message]


class PerfectLine:
    """What happens on the way: nothing. Others misbehave in one of these."""

    def request(self, octets: bytes) -> bytes:
        return octets

    def answer(self, octets: bytes) -> bytes:
        return octets

    def delay(self) -> float:
        """Seconds that the module takes."""
        return 0.01

    def restarts(self) -> bool:
        """Whether the module is started anew after a request, its answers lost."""
        return False


class NoisyLine(PerfectLine):
    """Everything happens, each with a probability."""

    def __init__(self, chance: random.Random, trouble: float, restarts: bool = False) -> None:
        self._chance = chance
        self._trouble = trouble
        self._restarts = restarts

    def _spoil(self, octets: bytes) -> bytes:
        if self._chance.random() >= self._trouble:
            return octets
        at = self._chance.randrange(len(octets))
        match self._chance.randrange(7):
            case 0:
                return b""
            case 1:
                return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1:]
            case 2:
                return octets[:-1]
            case 3:
                return octets[:at]
            case 4:
                return b"\x7f~\r" + octets
            case 5:
                return octets[:at] + b"\r" + octets[at:]
            case _:
                return b"\x00\xff" + octets

    def request(self, octets: bytes) -> bytes:
        return self._spoil(octets)

    def answer(self, octets: bytes) -> bytes:
        return self._spoil(octets)

    def delay(self) -> float:
        return self._chance.uniform(1, 12) if self._chance.random() < self._trouble else 0.01

    def restarts(self) -> bool:
        return self._restarts and self._chance.random() < self._trouble


class ScriptedLine(PerfectLine):
    """One thing per request and per answer, in order; afterwards nothing more."""

    def __init__(self, requests: list[str] = [], answers: list[str] = [], restart_after: int = 0) -> None:
        self._requests = deque(requests)
        self._answers = deque(answers)
        self._restart_after = restart_after

    @staticmethod
    def _spoil(what: str, octets: bytes) -> bytes:
        return {"ok": octets, "lost": b"", "damaged": b"#" + octets[1:], "noise before": b"\x7f\r" + octets,
                "no end": octets[:-1], "late": octets}[what]

    def request(self, octets: bytes) -> bytes:
        return self._spoil(self._requests.popleft() if self._requests else "ok", octets)

    def answer(self, octets: bytes) -> bytes:
        return self._spoil(self._answers.popleft() if self._answers else "ok", octets)

    def delay(self) -> float:
        return 1.7 if self._answers and self._answers[0] == "late" else 0.01

    def restarts(self) -> bool:
        self._restart_after -= 1
        return self._restart_after == 0


class Wire:
    """A transport of sts6_client over a simulated line."""

    def __init__(self, clock: Clock, module: Module, way: PerfectLine, serial: bool) -> None:
        self.keeps_memory = serial
        self.sent: list[str] = []
        self.opened = 0
        self._clock = clock
        self._module = module
        self.way = way
        self._open = False
        self._cut = False
        self._arriving: deque[tuple[float, bytes]] = deque()

    def open(self, until: float) -> None:
        self.opened += 1
        self._open = True
        self._cut = False
        self._arriving.clear()
        if not self.keeps_memory:
            self._module.memory = None
            self._module.partial = b""

    def close(self) -> None:
        self._open = False

    def usable(self) -> bool:
        if not self._open or self._cut:
            return False
        arrived = False
        while self._arriving and self._arriving[0][0] <= self._clock.now:
            self._arriving.popleft()
            arrived = True
        return self.keeps_memory or not arrived

    def send(self, octets: bytes, until: float) -> float:
        if self._cut:
            raise sts6_client._Lost("cut")
        self.sent.append(octets[:5].decode())
        answers = self._module.take(self.way.request(octets))
        if self.way.restarts():
            self._module.restart()
            self._cut = not self.keeps_memory
            return 0.0
        for text in answers:
            after = self._clock.now + self.way.delay()
            if self._arriving:
                after = max(after, self._arriving[-1][0])
            self._arriving.append((after, self.way.answer(line(text))))
        return 0.0

    def receive(self, until: float) -> bytes:
        if self._cut:
            raise sts6_client._Lost("cut")
        while self._arriving and self._arriving[0][0] <= until:
            at, octets = self._arriving.popleft()
            self._clock.now = max(self._clock.now, at)
            if octets:
                return octets
        self._clock.now = max(self._clock.now, until)
        raise sts6_client._Late
