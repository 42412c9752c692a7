#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A client for STS6 security modules: one file, Python 3.11 or newer, the standard library only.

    from sts6_client import Client

    with Client("tcp:127.0.0.1:5100") as client:
        answer = client.exchange("SM?DI")
        if answer.ok:
            module_id = answer.fields[0].value

URLs:

    tcp:HOST:PORT       raw lines             tls:HOST:PORT          the same over TLS
    tcp-env:HOST:PORT   the envelope          tls-env:HOST:PORT      the same over TLS
    serial:PATH[,BAUD]  a serial line, 8N1, 9600 baud unless given
    apdu:HOST:PORT      ISO 7816-4 commands in frames of a length of two octets

From the command line, `python3 sts6_client.py URL 'SM?DI'` prints the answer.

The module executes whatever it receives: a command that is sent again is a new command, and a second SM?VC is
a second token. What a client does about an answer that did not come is therefore its most important property;
`retry` says it, and Client.exchange() describes it.
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import os
import re
import select
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

__all__ = ["BadAnswer", "Client", "ClientError", "ConnectionLost", "Field", "NotSent", "OutcomeUnknown",
           "Response", "TimedOut", "crc16_arc"]

Retry = Literal["none", "repeat", "resend"]

# Commands that change nothing: sent twice, they do no more than sent once.
_CHANGES_NOTHING = frozenset(
    ["SM?DI", "SM?QI", "SM?QD", "SM?GA", "SM?VT", "SM?CQ", "SM?QL", "GL?EC"])

_INSTRUCTIONS = {
    "SM?VC": 0x10, "SM?VM": 0x12, "SM?VK": 0x14, "SM?VT": 0x16, "SM?DI": 0x20, "SM?QI": 0x22, "SM?QD": 0x24,
    "SM?GA": 0x26, "SM?CQ": 0x28, "SM?KC": 0x30, "SM?KR": 0x32, "SM?KL": 0x34, "SM?KF": 0x36, "SM?KX": 0x38,
    "SM?CI": 0x40, "SM?QL": 0x42, "SM?MI": 0x50, "SM?MF": 0x52,
}

_MEANINGS = {
    "00": "done",
    "01": "hardware or general failure",
    "02": "fixed-width command data, or the length of a signature",
    "03": "a token's CRC is wrong; a result of SM?VT",
    "05": "the key's type does not allow credit tokens",
    "10": "key entry device",
    "20": "the message's CRC is wrong; only in GL!ER",
    "21": "unknown or unsupported command; only in GL!ER",
    "22": "the register holds no key; proprietary range, this product's choice",
    "26": "slot or session is not in the state needed",
    "27": "no such KMC, or no free slot",
    "28": "no register for this key",
    "29": "a key change rule forbids it",
    "31": "unit limit, currency limit or licence used up",
    "33": "the instruction is for another module",
    "40": "EA, TI, TCT, SubClass, DKGA, key type or KRN out of range",
    "41": "the TID is beyond the key expiry number, or the KMC key has expired",
    "42": "module time is past the key's IUT",
    "43": "module time is before the key's ACT",
    "44": "the TID is too far from module time",
    "45": "no such log entry",
    "48": "the key's SubClass bitmap forbids it",
    "49": "record format or CRC",
    "52": "key entry device",
    "53": "a key entry device is needed and there is none",
    "57": "the module is tampered; only in GL!ER",
    "58": "the module is in its error state; only in GL!ER",
    "60": "too many or too few fields, or trailing bytes",
    "61": "a field has the wrong type letter",
    "62": "a field's value does not follow its type's grammar",
    "63": "a field's value is out of its range",
    "76": "not 18 digits, or a wrong check digit",
    "77": "a key record's tag is wrong",
    "78": "key entry device",
    "80": "a class 0 token under a default key; a result of SM?VT",
    "85": "number of tokens",
    "87": "signature, card or sequence of an instruction",
    "94": "key attribute missing or out of its constraints",
    "EE": "a text follows",
}


class ClientError(Exception):
    """An exchange that ended without an answer."""


class NotSent(ClientError):
    """There was no link: the command was never sent, and may be tried again."""


class OutcomeUnknown(ClientError):
    """The command was sent, and whether the module executed it is not known."""


class TimedOut(OutcomeUnknown):
    """No answer came in time."""


class ConnectionLost(OutcomeUnknown):
    """The connection or the device went away."""


class BadAnswer(OutcomeUnknown):
    """What came is no answer to the command."""


class Field(NamedTuple):
    """A PTVD field."""

    type: str  #: N, P, H or D
    value: str


@dataclass(frozen=True)
class Response:
    """A module's answer, its header and CRC checked."""

    status: str  #: two characters
    body: str  #: what follows the status
    text: str  #: the whole message without CRC
    link_error: bool  #: GL!ER came instead of the command's own answer

    @property
    def ok(self) -> bool:
        return self.status == "00" and not self.link_error

    @property
    def meaning(self) -> str:
        """The status in words."""
        return _MEANINGS.get(self.status, "a status that is not in the table")

    @property
    def fields(self) -> tuple[Field, ...]:
        """The PTVD fields of the body. ValueError when it does not consist of fields."""
        if self.body and not self.body.endswith("~"):
            raise ValueError("the last field has no end")
        parts = self.body.split("~")[:-1]
        if not all(parts):
            raise ValueError("a field has no type letter")
        return tuple(Field(part[0], part[1:]) for part in parts)


def crc16_arc(octets: bytes) -> int:
    """CRC-16/ARC: reflected 0x8005, initial value 0, no final xor. b"123456789" gives 0xBB3D."""
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


# --- Framing ------------------------------------------------------------------------------------------------

_LONGEST = 4096  # header to CRC
_TRIES = 4  # to get an answer to what does no harm
_MAGIC = bytes.fromhex("EDF12B00FEED")
_ENVELOPE_HEADER = 8
_LENGTHS = range(7, 4111)
_DAMAGED = ""  # stands for octets that are no valid message


def _line(message: str) -> bytes:
    octets = message.encode("ascii")
    return octets + b"%04X\r" % crc16_arc(octets)


def _checked(line: bytes) -> str:
    """Header and body of a line without its CR; _DAMAGED unless CRC, characters and length are right."""
    message, crc = line[:-4], line[-4:]
    if len(message) < 7 or len(line) > _LONGEST or not all(0x20 <= octet <= 0x7E for octet in message):
        return _DAMAGED
    if any(octet not in b"0123456789ABCDEFabcdef" for octet in crc) or int(crc, 16) != crc16_arc(message):
        return _DAMAGED
    text = message.decode("ascii")
    if text[2] != "!" or (text.startswith("GL!ER") and len(text) != 7):
        return _DAMAGED
    return text


class _Framing(Protocol):
    def encode(self, message: str) -> bytes: ...

    def take(self, octets: bytearray) -> str | None:
        """Removes one message from the front: its text, _DAMAGED, or None when more octets are needed."""


class _Lines:
    def encode(self, message: str) -> bytes:
        return _line(message)

    def take(self, octets: bytearray) -> str | None:
        while octets[:1] in (b"\r", b"\n"):
            del octets[0]
        end = octets.find(b"\r")
        if end < 0 and len(octets) <= _LONGEST:
            return None
        line = bytes(octets[:end]) if end >= 0 else bytes(octets)
        del octets[:len(line) + 1]
        return _checked(line)


class _Envelopes:
    def __init__(self) -> None:
        self._lines = _Lines()

    def encode(self, message: str) -> bytes:
        line = _line(message)
        return (len(_MAGIC) + len(line)).to_bytes(2, "big") + _MAGIC + line

    def take(self, octets: bytearray) -> str | None:
        # A module can be set to send a link error without an envelope; no envelope starts with a G.
        if octets[:1] == b"G":
            return self._lines.take(octets)
        length = int.from_bytes(octets[:2], "big")
        magic = octets[2:_ENVELOPE_HEADER]
        if len(octets) >= 2 and (length not in _LENGTHS or magic != _MAGIC[:len(magic)]):
            octets.clear()
            return _DAMAGED
        if len(octets) < _ENVELOPE_HEADER or len(octets) < length + 2:
            return None
        line = bytes(octets[_ENVELOPE_HEADER:length + 2])
        del octets[:length + 2]
        return _checked(line[:-1]) if line.endswith(b"\r") else _DAMAGED


# --- Transports ---------------------------------------------------------------------------------------------

class _Late(Exception):
    """Nothing arrived in time."""

    def __str__(self) -> str:
        return "no answer in time"


class _Lost(Exception):
    """The connection is gone."""


class _Transport(Protocol):
    """A stream of octets. Times are points of time.monotonic()."""

    keeps_memory: bool  #: whether the module's memory for GL?RR outlives a closed connection

    def open(self, until: float) -> None:
        """OSError when it cannot be opened."""

    def close(self) -> None: ...

    def usable(self) -> bool:
        """Whether it is open and nothing waits to be read that nobody asked for."""

    def send(self, octets: bytes, until: float) -> float:
        """Gives the seconds that the octets still need to get out. _Late, _Lost."""

    def receive(self, until: float) -> bytes:
        """One octet or more. _Late, _Lost."""


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


class _Tcp:
    keeps_memory = False

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._address = (host, port)
        self._tls = tls
        self._socket: socket.socket | None = None

    def open(self, until: float) -> None:
        # A time of 0 would mean: do not block.
        try:
            connection = socket.create_connection(self._address, timeout=max(_left(until), 0.001))
        except UnicodeError as error:
            raise OSError("no host name") from error
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                connection.settimeout(max(_left(until), 0.001))
                connection = self._tls.wrap_socket(connection, server_hostname=self._address[0])
        except BaseException:
            connection.close()
            raise
        self._socket = connection

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def usable(self) -> bool:
        if not self._socket:
            return False
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def _within(self, until: float) -> socket.socket:
        if not self._socket:
            raise _Lost("not connected")
        if _left(until) == 0:
            raise _Late
        self._socket.settimeout(_left(until) or 0.001)
        return self._socket

    def send(self, octets: bytes, until: float) -> float:
        try:
            self._within(until).sendall(octets)
        except TimeoutError:
            raise _Late from None
        except OSError as error:
            raise _Lost(str(error)) from error
        return 0.0

    def receive(self, until: float) -> bytes:
        try:
            octets = self._within(until).recv(4096)
        except TimeoutError:
            raise _Late from None
        except OSError as error:
            raise _Lost(str(error)) from error
        if not octets:
            raise _Lost("the module closed the connection")
        return octets


class _Serial:
    keeps_memory = True

    def __init__(self, path: str, baud: int) -> None:
        speed = getattr(termios, f"B{baud}", None)
        if speed is None or baud == 0:
            raise ValueError(f"a serial line has no speed of {baud} baud")
        self._path = path
        self._speed = speed
        self._seconds_per_octet = 10 / baud
        self._device = -1

    def open(self, until: float) -> None:
        device = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two programs would take each other's answers
            settings = termios.tcgetattr(device)
            control = list(settings[6])
            control[termios.VMIN] = 1
            control[termios.VTIME] = 0
            raw = termios.CS8 | termios.CREAD | termios.CLOCAL
            termios.tcsetattr(device, termios.TCSANOW, [0, 0, raw, 0, self._speed, self._speed, control])
            termios.tcflush(device, termios.TCIOFLUSH)
        except termios.error as error:
            os.close(device)
            raise OSError(*error.args) from error
        except BaseException:
            os.close(device)
            raise
        self._device = device

    def close(self) -> None:
        if self._device >= 0:
            os.close(self._device)
            self._device = -1

    def usable(self) -> bool:
        """Between two exchanges only noise arrives; it is dropped."""
        try:
            while self._device >= 0:
                if not os.read(self._device, 4096):
                    return False
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _wait(self, until: float, writing: bool) -> None:
        if _left(until) == 0:
            raise _Late
        waiting = select.poll()
        waiting.register(self._device, select.POLLOUT if writing else select.POLLIN)
        if not waiting.poll(_left(until) * 1000):
            raise _Late

    def send(self, octets: bytes, until: float) -> float:
        rest = octets
        while rest:
            self._wait(until, writing=True)
            try:
                rest = rest[os.write(self._device, rest):]
            except BlockingIOError:
                pass
            except OSError as error:
                raise _Lost(str(error)) from error
        return len(octets) * self._seconds_per_octet

    def receive(self, until: float) -> bytes:
        while True:
            self._wait(until, writing=False)
            try:
                octets = os.read(self._device, 4096)
            except BlockingIOError:
                continue
            except OSError as error:
                raise _Lost(str(error)) from error
            if not octets:
                raise _Lost("the device is gone")
            return octets


# --- Protocols: what an exchange is on a link ---------------------------------------------------------------

class _Budget:
    """What one exchange may use: time, and messages beyond the first."""

    def __init__(self, timeout: float, answer: float, retries: int) -> None:
        self.ends = time.monotonic() + timeout
        self._answer = answer
        self._retries = retries

    def wait(self, sending: float = 0.0) -> float:
        """When an answer that has shown nothing since now counts as lost."""
        return min(self.ends, time.monotonic() + sending + self._answer)

    def spend(self) -> bool:
        """Whether one more message may be sent."""
        self._retries -= 1
        return self._retries >= 0 and _left(self.ends) > 0


def _may_send_again(message: str, retry: Retry) -> bool:
    """Whether, when it cannot be known if the module has executed it."""
    return retry == "resend" or (retry == "repeat" and message[:5] in _CHANGES_NOTHING)


class _Link(Protocol):
    def close(self) -> None: ...

    def prepare(self, budget: _Budget) -> Response | None:
        """Connects where it must. NotSent. A response is the module's answer to whatever it is sent."""

    def ask(self, message: str, budget: _Budget) -> Response:
        """OutcomeUnknown."""


def _response(text: str) -> Response:
    return Response(status=text[5:7], body=text[7:], text=text, link_error=text.startswith("GL!ER"))


class _TextLink:
    """Lines or envelopes, with GL?RR.

    In step means: the module owes this client no answer, and remembers none but the last that was accepted.
    """

    def __init__(self, transport: _Transport, framing: _Framing, retry: Retry) -> None:
        self._transport = transport
        self._framing = framing
        self._retry = retry
        self._received = bytearray()
        self._in_step = False
        self._last: str | None = None  # the last answer accepted on this link, which the module remembers
        self._last_message = ""  # what it was the answer to
        self._patience = 0.0  # seconds that what was sent last needs to get out

    def close(self) -> None:
        self._transport.close()
        self._received.clear()
        self._in_step = False
        self._last = None

    def prepare(self, budget: _Budget) -> Response | None:
        if not self._transport.usable() or not (self._in_step or self._transport.keeps_memory):
            self.close()
            try:
                self._transport.open(budget.ends)
            except OSError as error:
                raise NotSent(f"no connection: {error}") from error
            self._in_step = not self._transport.keeps_memory
        if self._in_step:
            return None
        self._received.clear()
        try:
            return self._get_in_step(budget)
        except (_Lost, _Late) as error:
            self.close()
            raise NotSent(f"the module does not answer: {error}") from error

    def _get_in_step(self, budget: _Budget) -> Response | None:
        """Once GL?RS is answered, nothing that was sent before still has an answer to come. The echo is there
        to be remembered: a module that then remembers nothing has been started anew."""
        refusal = self._have_answered(lambda _: ("GL?RS", "GL!RS00"), budget)
        if refusal is None:
            # No two tries are alike: a late answer to the first one must not be taken for the second one's.
            refusal = self._have_answered(
                lambda n: (f"GL?EC00005{n:05}", f"GL!EC00005{n:05}"), budget)
        self._in_step = refusal is None
        return refusal

    def _have_answered(self, request: Callable[[int], tuple[str, str]], budget: _Budget) -> Response | None:
        """Sends what does no harm until it is answered. The error state is an answer to everything."""
        for attempt in range(_TRIES):
            message, expected = request(attempt)
            self._send(message, budget)
            answer = ""
            while answer not in (expected, "GL!ER20", "GL!ER58"):
                try:
                    answer = self._next(budget)
                except _Late:
                    break
            if answer == "GL!ER58":
                return _response(answer)
            if answer == expected:
                self._last = answer
                return None
        raise _Late

    def _send(self, message: str, budget: _Budget) -> None:
        self._patience = self._transport.send(self._framing.encode(message), budget.ends)

    def _next(self, budget: _Budget) -> str:
        """The next message, or _DAMAGED. _Late when nothing has arrived for a while, _Lost."""
        while True:
            found = self._framing.take(self._received)
            if found is not None:
                return found
            self._received += self._transport.receive(budget.wait(self._patience))
            self._patience = 0.0

    def ask(self, message: str, budget: _Budget) -> Response:
        self._in_step = False
        try:
            text, recovered = self._answer(message, budget)
        except _Late:
            raise TimedOut("no answer in time") from None
        except _Lost as error:
            self.close()
            raise ConnectionLost(str(error)) from error
        # GL?RS empties the memory, and a GL!ER21 in it could not be told from an empty one.
        known = not message.startswith("GL?RS") and text != "GL!ER21"
        self._in_step = known and not recovered and not self._received
        self._last = text
        self._last_message = message
        return _response(text)

    def _proves_nothing(self, message: str, answer: str) -> bool:
        """Whether an answer that equals the last one may be the command's own. Tokens differ when what was
        asked for does, and of two refusals neither was executed; two other commands may be answered alike."""
        if answer[:7] != message[:2] + "!" + message[3:5] + "00":
            return False
        return message == self._last_message or message[:5] not in ("SM?VC", "SM?VM", "SM?VK")

    def _answer(self, message: str, budget: _Budget) -> tuple[str, bool]:
        """The answer, and whether it took more than one message."""
        expected = message[:2] + "!" + message[3:5]
        recovering = False
        asked = 0  # GL?RR sent since the command was last sent, and not known to be answered
        stale = 0  # the same from before that
        self._send(message, budget)
        while True:
            failure: OutcomeUnknown | None = None
            try:
                answer = self._next(budget)
            except _Late:
                answer = _DAMAGED
                failure = TimedOut("no answer in time")
            # GL!ER20 may speak of noise before the command, which then has an answer of its own.
            if answer == _DAMAGED or (answer == "GL!ER20" and self._retry != "none"):
                if not budget.spend():
                    raise failure or BadAnswer("a damaged answer")
                recovering = True
                if self._retry == "repeat":
                    self._send("GL?RR", budget)
                    asked += 1
                else:
                    self._send(message, budget)
            elif (asked or stale) and answer in (self._last, "GL!ER21"):
                # The answer to a GL?RR: the module remembers what it did before, or nothing.
                if stale:
                    stale -= 1
                    continue
                if not _may_send_again(message, self._retry):
                    if answer != self._last and self._last:
                        raise ConnectionLost("the module has forgotten its last answer: it was started anew")
                    if answer == self._last and self._proves_nothing(message, answer):
                        raise TimedOut("no answer that can be told from the one before")
                # It answers in order, so the command, sent before that GL?RR, was not executed.
                if not budget.spend():
                    raise TimedOut("the command does not reach the module")
                stale, asked = asked - 1, 0
                self._send(message, budget)
            elif asked and answer == "GL!ER58" and not _may_send_again(message, self._retry):
                # What a module in its error state says to GL?RR too, instead of what it answered before.
                raise BadAnswer("the module went into its error state")
            elif answer[:5] in (expected, "GL!ER"):
                return answer, recovering
            elif not self._transport.keeps_memory:
                # On a serial line it is skipped.
                raise BadAnswer(f"the answer is of another command: {answer[:5]}")


class _ApduLink:
    """ISO 7816-4. There is no GL?RR: an answer that did not come is lost."""

    _SELECT = bytes.fromhex("00A4040006F05354533601")

    def __init__(self, transport: _Transport) -> None:
        self._transport = transport
        self._received = bytearray()

    def close(self) -> None:
        self._transport.close()
        self._received.clear()

    def prepare(self, budget: _Budget) -> Response | None:
        if self._transport.usable():
            return None
        self.close()
        try:
            self._transport.open(budget.ends)
            _, status = self._exchange(self._SELECT, budget)
        except (OSError, _Late, _Lost) as error:
            self.close()
            raise NotSent(f"no connection: {error}") from error
        if status != 0x9000:
            self.close()
            raise NotSent(f"SELECT is answered {status:04X}")
        return None

    def ask(self, message: str, budget: _Budget) -> Response:
        try:
            data, status = self._exchange(self._command(message), budget)
            while status >> 8 == 0x61:
                more, status = self._exchange(bytes([0x80, 0xC0, 0, 0, status & 0xFF]), budget)
                data += more
            text = self._text(message, data, status)
        except _Late:
            self.close()
            raise TimedOut("no answer in time") from None
        except _Lost as error:
            self.close()
            raise ConnectionLost(str(error)) from error
        except BadAnswer:
            self.close()
            raise
        if self._received:
            self.close()
        return _response(text)

    @staticmethod
    def _command(message: str) -> bytes:
        head = bytes([0x80, _INSTRUCTIONS[message[:5]], 0, 0])
        data = message[5:].encode("ascii")
        if not data:
            return head + b"\x00"
        if len(data) <= 255:
            return head + bytes([len(data)]) + data + b"\x00"
        return head + b"\x00" + len(data).to_bytes(2, "big") + data + b"\x00\x00"

    @staticmethod
    def _text(message: str, data: bytes, status: int) -> str:
        head = message[:2] + "!" + message[3:5]
        if not all(0x20 <= octet <= 0x7E for octet in data):
            raise BadAnswer("an answer of other characters than text")
        body = data.decode("ascii")
        if status == 0x9000:
            return head + "00" + body
        if status == 0x66EE:
            return head + "EEP" + body + "~"
        if status == 0x6D00 and not body:
            return "GL!ER21"
        code = f"{status & 0xFF:02X}"
        if status >> 8 != 0x66 or not code.isdecimal() or code == "00" or body:
            raise BadAnswer(f"status word {status:04X}")
        return ("GL!ER" if code in ("57", "58") else head) + code

    def _exchange(self, apdu: bytes, budget: _Budget) -> tuple[bytes, int]:
        self._transport.send(len(apdu).to_bytes(2, "big") + apdu, budget.ends)
        length = int.from_bytes(self._take(2, budget), "big")
        if length < 2:
            raise _Lost("an answer without a status word")
        frame = self._take(length, budget)
        return frame[:-2], int.from_bytes(frame[-2:], "big")

    def _take(self, size: int, budget: _Budget) -> bytes:
        while len(self._received) < size:
            self._received += self._transport.receive(budget.wait())
        octets = bytes(self._received[:size])
        del self._received[:size]
        return octets


# --- The client ---------------------------------------------------------------------------------------------

def _address(text: str) -> tuple[str, int]:
    """HOST:PORT, an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif not colon or not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", host):
        raise ValueError("HOST:PORT is missing")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535 and not port.startswith("0")):
        raise ValueError("a port is 1 to 65535")
    return host, int(port)


def _tls_context(ca: str | None, certificate: str | None, private_key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, private_key)
    return context


class Client:
    """One link to a module, one command in flight. Not for concurrent use.

    `timeout` seconds are for an exchange as a whole, connecting and retries included. An answer of which
    nothing arrives for `answer` seconds counts as lost. `retries` is how many messages an exchange may send
    beyond the first. `tls_ca` names a file of certificates that the module's must come from, without it the
    system's are trusted; `tls_certificate` and `tls_private_key` say who the client is.

    Nothing is opened before the first exchange. ValueError for a URL or an option that makes no sense.
    """

    def __init__(self, url: str, timeout: float = 5.0, answer: float = 1.5, retries: int = 3,
                 retry: Retry = "repeat", *, tls_ca: str | None = None, tls_certificate: str | None = None,
                 tls_private_key: str | None = None) -> None:
        if not (timeout > 0 and answer > 0 and retries >= 0):
            raise ValueError("times must be above 0, retries must not be negative")
        if retry not in ("none", "repeat", "resend"):
            raise ValueError("retry must be none, repeat or resend")
        if tls_private_key and not tls_certificate:
            raise ValueError("a private key needs its certificate")
        scheme, _, rest = url.partition(":")
        if scheme not in ("tls", "tls-env") and (tls_ca or tls_certificate):
            raise ValueError(f"{scheme}: is a link without TLS")
        self._timeout = timeout
        self._answer = answer
        self._retry = retry
        self._retries = 0 if retry == "none" else retries
        self._is_apdu = scheme == "apdu"
        self._link: _Link
        match scheme:
            case "tcp" | "tcp-env":
                transport: _Transport = _Tcp(*_address(rest), None)
            case "tls" | "tls-env":
                transport = _Tcp(*_address(rest), _tls_context(tls_ca, tls_certificate, tls_private_key))
            case "serial":
                path, comma, baud = rest.rpartition(",") if "," in rest else (rest, "", "9600")
                if not path or not (baud.isascii() and baud.isdecimal()):
                    raise ValueError("serial:PATH[,BAUD]")
                transport = _Serial(path, int(baud))
            case "apdu":
                self._link = _ApduLink(_Tcp(*_address(rest), None))
                return
            case _:
                raise ValueError(f"{url}: a URL starts with tcp: tcp-env: tls: tls-env: serial: or apdu:")
        framing = _Envelopes() if scheme.endswith("-env") else _Lines()
        self._link = _TextLink(transport, framing, retry)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The next exchange opens the link again."""
        self._link.close()

    def exchange(self, message: str) -> Response:
        """Sends a message, header and body ("SM?DI"), and gives its answer, whatever its status is.

        ValueError when it is no request; NotSent when there was no link to send it on; OutcomeUnknown
        (TimedOut, ConnectionLost or BadAnswer) when it was sent and no answer could be had. Then the module
        may have executed it. For SM?VC: a token may have been made and debited.

        `retry` says what happens when an answer is late or damaged:

        none    Nothing: OutcomeUnknown. GL!ER20 is then the answer, and no refusal: noise in front of a
                command that was executed has it too.
        repeat  The module is asked for its last answer (GL?RR). The command is sent again only when that
                shows that it was not executed. When the connection is lost, when a module on a serial line
                was started anew, and on apdu also after a time-out, there is nothing to ask: only commands
                that change nothing are sent again. Nor can a command be told from the one before that was
                answered alike: the same SM?VC again, or two key records.
        resend  The command is sent again, and each time it is a new command to the module: one sale may
                make several tokens.
        """
        self._check(message)
        budget = _Budget(self._timeout, self._answer, self._retries)
        lost: OutcomeUnknown | None = None
        while True:
            try:
                verdict = self._link.prepare(budget)
            except NotSent as error:
                if lost:
                    raise lost from error
                raise
            if verdict:
                if lost:
                    raise lost
                return verdict
            try:
                return self._link.ask(message, budget)
            except (ConnectionLost, TimedOut) as failure:
                cut = isinstance(failure, ConnectionLost) or self._is_apdu
                if not cut or not _may_send_again(message, self._retry) or not budget.spend():
                    raise
                lost = failure

    def _check(self, message: str) -> None:
        shaped = 5 <= len(message) <= _LONGEST - 4 and message[2] == "?"
        if not shaped or not all(" " <= c <= "~" for c in message):
            raise ValueError("a request is XX?YY and a body of printable ASCII characters")
        if message.startswith("GL?RR"):
            raise ValueError("GL?RR is for the client itself")
        if self._is_apdu and message[:5] not in _INSTRUCTIONS:
            raise ValueError(f"{message[:5]} has no APDU form")


# --- The command line ---------------------------------------------------------------------------------------

def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused by the module, 2 usage, 3 no connection or lost, 4 the module is in its
    error state, 5 an answer that makes no sense, 6 time-out."""
    parser = argparse.ArgumentParser(description="Sends a message to an STS6 module and prints the answer.")
    parser.add_argument("url", metavar="URL", help="tcp:HOST:PORT, tcp-env: tls: tls-env: apdu: the same, or "
                        "serial:PATH[,BAUD]")
    parser.add_argument("message", metavar="MESSAGE", help="header and body, as in 'SM?DI'")
    parser.add_argument("--retry", choices=("none", "repeat", "resend"), default="repeat")
    parser.add_argument("--tls-ca", metavar="FILE", help="certificates that the module's must come from")
    parser.add_argument("--tls-certificate", metavar="FILE", help="who this client is")
    parser.add_argument("--tls-private-key", metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        with Client(options.url, retry=options.retry, tls_ca=options.tls_ca,
                    tls_certificate=options.tls_certificate,
                    tls_private_key=options.tls_private_key) as client:
            answer = client.exchange(options.message)
    except (ValueError, OSError, ClientError) as error:
        print(f"sts6_client: {error}", file=sys.stderr)
        match error:
            case TimedOut():
                return 6
            case BadAnswer():
                return 5
            case ClientError():
                return 3
        return 2
    print(answer.text)
    if answer.ok:
        return 0
    return 4 if answer.link_error and answer.status == "58" else 1


if __name__ == "__main__":
    sys.exit(main())
