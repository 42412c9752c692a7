# SPDX-License-Identifier: Apache-2.0
"""The client on real sockets, TLS and a pseudo-terminal, against modules that follow a script."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import sts6_client
from fake_module import Peer, Script, SerialModule, TcpModule
from sts6_client import BadAnswer, Client, ConnectionLost, NotSent, TimedOut

_ROOT = Path(__file__).resolve().parents[2]

# The worked examples of the protocol page.
_IDENTIFY = b"SM?DI9A51\r"
_IDENTITY = b"SM!DI00PSOFTSM01~PSTS6-001~8AB4\r"
_CREDIT_MESSAGE = "SM?VCN1~P600727000000000009~N1~N11~N2~N0~H0001~H014EEC~"
_CREDIT = _CREDIT_MESSAGE.encode() + b"DCC6\r"
_TOKEN = b"SM!VC00P32D98A5616345BE2E~P58625789986991357486~26E2\r"
_REPEAT = b"GL?RR0E2E\r"
_ENVELOPED_IDENTIFY = bytes.fromhex("0010EDF12B00FEED534D3F4449394135310D")

_SHORT = {"timeout": 10.0, "answer": 0.2}  # for scripts that let a time run out
_LONG = {"timeout": 20.0, "answer": 20.0}


def enveloped(line: bytes) -> bytes:
    return (6 + len(line)).to_bytes(2, "big") + bytes.fromhex("EDF12B00FEED") + line


def answers(*pairs: tuple[bytes, bytes]) -> Script:
    """Each request must be the one that is written down."""

    def script(peer: Peer) -> None:
        for request, answer in pairs:
            received = peer.take(len(request))
            if received != request:
                raise AssertionError(f"{received!r} instead of {request!r}")
            peer.send(answer)

    return script


class Text(unittest.TestCase):
    def test_the_crc(self) -> None:
        self.assertEqual(sts6_client.crc16_arc(b"123456789"), 0xBB3D)
        for line in (_IDENTIFY, _IDENTITY, _CREDIT, _TOKEN, _REPEAT, b"GL!ER20A624\r", b"SM!VC4197E7\r"):
            self.assertEqual(b"%04X" % sts6_client.crc16_arc(line[:-5]), line[-5:-1])

    def test_the_statuses_are_the_modules(self) -> None:
        table = (_ROOT / "include/sts6/status.def").read_text()
        rows = re.findall(r'STS6_STATUS\(0x(..), \w+, "(.*)"\)', table)
        self.assertGreater(len(rows), 30)
        self.assertEqual(sts6_client._MEANINGS, dict(rows))

    def test_the_commands_are_the_modules(self) -> None:
        table = (_ROOT / "include/sts6/commands.def").read_text()
        rows = re.findall(r'STS6_COMMAND\(\w+, "(.....)", 0x(..), (\w+), \w+, (\w+),', table)
        self.assertGreater(len(rows), 20)
        self.assertEqual(sts6_client._INSTRUCTIONS,
                         {header: int(code, 16) for header, code, _, _ in rows if code != "00"})
        for header in sts6_client._CHANGES_NOTHING:
            self.assertIn("reads", [effect for name, _, _, effect in rows if name == header], header)

    def test_fields(self) -> None:
        answer = sts6_client._response("SM!QD00D20020101000000~N0~P~")
        self.assertEqual(answer.fields, (("D", "20020101000000"), ("N", "0"), ("P", "")))
        self.assertEqual(sts6_client._response("SM!MF00").fields, ())
        for body in ("P", "PA~N1", "~", "PA~~N1~", "PA~ N1"):
            with self.assertRaises(ValueError):
                _ = sts6_client._response("SM!QD00" + body).fields

    def test_a_status_that_nobody_knows(self) -> None:
        answer = sts6_client._response("SM!VC99")
        self.assertFalse(answer.ok)
        self.assertNotIn(answer.meaning, sts6_client._MEANINGS.values())

    def test_urls_that_are_none(self) -> None:
        for url in ("", "tcp", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp::5100", "tcp:127.0.0.1:0",
                    "tcp:127.0.0.1:65536", "tcp:127.0.0.1:05100", "tcp:127.0.0.1:-1", "tcp:127.0.0.1:5100 ",
                    "tcp:127.0.0.1:\u0661", "tcp:::1:5100", "tcp:[::1]", "tcp:[::1:5100",
                    "tcp:[127.0.0.1]:5100", "tcp:a b:5100", "http:127.0.0.1:5100", "TCP:127.0.0.1:5100",
                    "127.0.0.1:5100", "apdu:", "apdu:localhost", "tls-env:", "serial:", "serial:,9600",
                    "serial:/dev/tty,", "serial:/dev/tty,fast", "serial:/dev/tty,9601", "serial:/dev/tty,0",
                    "serial:/dev/tty,-9600"):
            with self.subTest(url=url), self.assertRaises(ValueError):
                Client(url)

    def test_urls(self) -> None:
        for url in ("tcp:127.0.0.1:5100", "tcp-env:localhost:1", "tls:sm.example.org:65535",
                    "tls-env:[::1]:5100", "serial:/dev/ttyUSB0", "serial:./link,115200",
                    "apdu:[fe80::1]:5100"):
            Client(url).close()

    def test_options_that_make_no_sense(self) -> None:
        for url, options in (("tcp:h:1", {"timeout": 0}), ("tcp:h:1", {"answer": -1}),
                             ("tcp:h:1", {"retries": -1}), ("tcp:h:1", {"retry": "always"}),
                             ("tcp:h:1", {"tls_ca": "ca.pem"}), ("apdu:h:1", {"tls_certificate": "a.pem"}),
                             ("tls:h:1", {"tls_private_key": "k.pem"})):
            with self.subTest(options=options), self.assertRaises(ValueError):
                Client(url, **options)
        with self.assertRaises(OSError):
            Client("tls:h:1", tls_ca="/nonexistent/ca.pem")

    def test_messages_that_are_no_requests(self) -> None:
        for url in ("tcp:127.0.0.1:1", "apdu:127.0.0.1:1"):
            client = Client(url)
            for message in ("", "SM?D", "SM!DI", "SMDI?", "SM?DI\r", "SM?DI\n", "SM?VCP\u00e9~",
                            "SM?VCP\x7f~", "GL?RR", "SM?KC" + "x" * 4096):
                with self.subTest(message=message), self.assertRaises(ValueError):
                    client.exchange(message)
        for message in ("GL?EC00005123451F7F", "GL?RS", "SM?ML", "SM?XX"):
            with self.subTest(message=message), self.assertRaises(ValueError):
                Client("apdu:127.0.0.1:1").exchange(message)


class Tcp(unittest.TestCase):
    def test_lines(self) -> None:
        module = TcpModule(answers((_IDENTIFY, _IDENTITY), (_CREDIT, _TOKEN)))
        with Client("tcp:" + module.address, **_LONG) as client:
            answer = client.exchange("SM?DI")
            self.assertEqual(answer.text, "SM!DI00PSOFTSM01~PSTS6-001~")
            self.assertEqual(answer.fields, (("P", "SOFTSM01"), ("P", "STS6-001")))
            self.assertEqual(client.exchange(_CREDIT_MESSAGE).fields[1].value, "58625789986991357486")
        module.finish()

    def test_envelopes(self) -> None:
        module = TcpModule(answers((_ENVELOPED_IDENTIFY, enveloped(_IDENTITY)),
                                   (enveloped(_CREDIT), b"GL!ER585027\r"),
                                   (_ENVELOPED_IDENTIFY, enveloped(b"GL!ER575467\r"))))
        with Client("tcp-env:" + module.address, **_LONG) as client:
            self.assertEqual(client.exchange("SM?DI").fields[0].value, "SOFTSM01")
            for status in ("58", "57"):
                answer = client.exchange(_CREDIT_MESSAGE if status == "58" else "SM?DI")
                self.assertEqual((answer.status, answer.link_error, answer.ok), (status, True, False))
        module.finish()

    def test_an_answer_octet_by_octet(self) -> None:
        def script(peer: Peer) -> None:
            peer.line()
            for octet in _IDENTITY:
                peer.send(bytes([octet]))

        module = TcpModule(script)
        with Client("tcp:" + module.address, **_LONG) as client:
            self.assertTrue(client.exchange("SM?DI").ok)
        module.finish()

    def test_damaged_answers_are_asked_for_again(self) -> None:
        for damaged in (b"SM!DI00PSOFTSM01~PSTS6-001~8AB5\r", b"\x00" + _IDENTITY, b"\r\n\r#\r", b"SM!DI00\r",
                        b"SM?DI9A51\r", b"GL!ER20\r", b"8AB4\r"):
            with self.subTest(damaged=damaged):
                module = TcpModule(answers((_IDENTIFY, damaged), (_REPEAT, _IDENTITY)))
                with Client("tcp:" + module.address, **_LONG) as client:
                    self.assertTrue(client.exchange("SM?DI").ok)
                module.finish()

    def test_damaged_envelopes_are_asked_for_again(self) -> None:
        good = enveloped(_IDENTITY)
        for damaged in (b"\x00\x06" + good[2:8], b"\xff" + good[1:], good[:4] + b"\x00" + good[5:],
                        good[:-1] + b"\n", enveloped(_IDENTITY[:-2] + b"5\r"), _IDENTITY):
            with self.subTest(damaged=damaged):
                module = TcpModule(answers((_ENVELOPED_IDENTIFY, damaged), (enveloped(_REPEAT), good)))
                with Client("tcp-env:" + module.address, timeout=20.0, answer=20.0, retries=1) as client:
                    self.assertTrue(client.exchange("SM?DI").ok)
                module.finish()

    def test_an_answer_that_never_ends(self) -> None:
        def script(peer: Peer) -> None:
            peer.line()
            with contextlib.suppress(OSError):
                while True:
                    peer.send(b"x" * 4096)

        module = TcpModule(script)
        with Client("tcp:" + module.address) as client, self.assertRaises((BadAnswer, TimedOut)):
            client.exchange("SM?DI")
        module.finish()

    def test_the_answer_of_another_command(self) -> None:
        module = TcpModule(answers((_CREDIT, _IDENTITY)), answers((_IDENTIFY, _IDENTITY)))
        with Client("tcp:" + module.address, **_LONG) as client:
            with self.assertRaises(BadAnswer):
                client.exchange(_CREDIT_MESSAGE)
            self.assertTrue(client.exchange("SM?DI").ok)  # on a connection of its own
        module.finish()

    def test_what_nobody_asked_for_ends_the_connection(self) -> None:
        module = TcpModule(answers((_IDENTIFY, _IDENTITY + _TOKEN)), answers((_CREDIT, _TOKEN)))
        with Client("tcp:" + module.address, **_LONG) as client:
            self.assertTrue(client.exchange("SM?DI").ok)
            self.assertTrue(client.exchange(_CREDIT_MESSAGE).ok)
        module.finish()

    def test_a_silent_module(self) -> None:
        def script(peer: Peer) -> None:
            answers((_CREDIT, b""), (_REPEAT, b""), (_REPEAT, b""))(peer)
            peer.wait_for_end()

        module = TcpModule(script)
        with Client("tcp:" + module.address, retries=2, **_SHORT) as client, self.assertRaises(TimedOut):
            client.exchange(_CREDIT_MESSAGE)
        module.finish()

    def test_a_module_that_hangs_up(self) -> None:
        module = TcpModule(answers((_CREDIT, b"SM!VC00P32D9")))
        with Client("tcp:" + module.address, **_LONG) as client:
            with self.assertRaises(ConnectionLost):
                client.exchange(_CREDIT_MESSAGE)
            module.finish()
            with self.assertRaises(NotSent):
                client.exchange(_CREDIT_MESSAGE)

    def test_a_host_that_is_not_there(self) -> None:
        for host in ("sts6.invalid", "a..b", "x" * 70):
            with self.subTest(host=host), self.assertRaises(NotSent):
                Client(f"tcp:{host}:5100").exchange("SM?DI")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls._place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._place.cleanup)
        cls.place = Path(cls._place.name)
        for name in ("module", "client", "stranger"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
                            "subjectAltName=IP:127.0.0.1", "-keyout", cls.key(name),
                            "-out", cls.certificate(name)], check=True, capture_output=True)

    @classmethod
    def key(cls, name: str) -> str:
        return str(cls.place / f"{name}.key")

    @classmethod
    def certificate(cls, name: str) -> str:
        return str(cls.place / f"{name}.pem")

    def context(self, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, name: str = "module") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate(name), self.key(name))
        context.maximum_version = most
        return context

    def test_lines_and_envelopes(self) -> None:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for scheme, wrap in (("tls", bytes), ("tls-env", enveloped)):
                with self.subTest(version=version, scheme=scheme):
                    pairs = [(wrap(_IDENTIFY), wrap(_IDENTITY)), (wrap(_CREDIT), wrap(_TOKEN))]
                    module = TcpModule(answers(*pairs), tls=self.context(version))
                    with Client(f"{scheme}:{module.address}", tls_ca=self.certificate("module"),
                                **_LONG) as client:
                        self.assertTrue(client.exchange("SM?DI").ok)
                        self.assertTrue(client.exchange(_CREDIT_MESSAGE).ok)  # on the same connection
                    module.finish()

    def test_a_client_certificate(self) -> None:
        context = self.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificate("client"))
        module = TcpModule(answers((_IDENTIFY, _IDENTITY)), tls=context)
        with Client("tls:" + module.address, tls_ca=self.certificate("module"),
                    tls_certificate=self.certificate("client"), tls_private_key=self.key("client"),
                    **_LONG) as client:
            self.assertTrue(client.exchange("SM?DI").ok)
        module.finish()

    def test_a_module_that_wants_another_client_certificate(self) -> None:
        context = self.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificate("client"))
        for name in (None, "stranger"):
            certificate = self.certificate(name) if name else None
            private_key = self.key(name) if name else None
            module = TcpModule(answers((_CREDIT, _TOKEN)), tls=context)
            with Client("tls:" + module.address, tls_ca=self.certificate("module"),
                        tls_certificate=certificate, tls_private_key=private_key, **_LONG) as client:
                with self.assertRaises((NotSent, ConnectionLost)):
                    client.exchange(_CREDIT_MESSAGE)
            module.finish()

    def test_modules_that_are_not_trusted(self) -> None:
        cases = {"an unknown certificate": ("127.0.0.1", self.certificate("stranger")),
                 "another host's": ("localhost", self.certificate("module")),
                 "the system's only": ("127.0.0.1", None)}
        for case, (host, ca) in cases.items():
            with self.subTest(case):
                module = TcpModule(answers((_CREDIT, _TOKEN)), tls=self.context())
                port = module.address.rpartition(":")[2]
                with Client(f"tls:{host}:{port}", tls_ca=ca, **_LONG) as client, self.assertRaises(NotSent):
                    client.exchange(_CREDIT_MESSAGE)
                module.finish()

    def test_a_module_without_tls(self) -> None:
        def script(peer: Peer) -> None:
            peer.take(1)
            peer.send(_TOKEN)

        module = TcpModule(script)
        with Client("tls:" + module.address, tls_ca=self.certificate("module"), **_LONG) as client:
            with self.assertRaises(NotSent):
                client.exchange(_CREDIT_MESSAGE)
        module.finish()


class Serial(unittest.TestCase):
    @staticmethod
    def in_step(peer: Peer) -> None:
        for expected, answer in ((b"GL?RSCEEF\r", b"GL!RS00B271\r"), (b"GL?EC00005", b"GL!EC00005")):
            if (request := peer.line()) != expected and not request.startswith(expected[:10]):
                raise AssertionError(request)
            line = answer if answer.endswith(b"\r") else answer + request[10:-5]
            peer.send(line if line.endswith(b"\r") else line + b"%04X\r" % sts6_client.crc16_arc(line))

    def test_a_line(self) -> None:
        def script(peer: Peer) -> None:
            self.in_step(peer)
            answers((_IDENTIFY, _IDENTITY), (_CREDIT, _TOKEN))(peer)

        for speed in ("", ",9600", ",115200"):
            module = SerialModule(script)
            with Client(f"serial:{module.path}{speed}", **_LONG) as client:
                self.assertEqual(client.exchange("SM?DI").text, "SM!DI00PSOFTSM01~PSTS6-001~")
                self.assertTrue(client.exchange(_CREDIT_MESSAGE).ok)
            module.finish()

    def test_every_octet_of_a_message_gets_through(self) -> None:
        text = "".join(map(chr, range(0x20, 0x7F)))

        def script(peer: Peer) -> None:
            self.in_step(peer)
            line = b"SM!KC00" + peer.line()[5:-5]
            peer.send(line + b"%04X\r" % sts6_client.crc16_arc(line))

        module = SerialModule(script)
        with Client("serial:" + module.path, **_LONG) as client:
            self.assertEqual(client.exchange("SM?KC" + text).body, text)
        module.finish()

    def test_answers_from_before_are_skipped(self) -> None:
        def script(peer: Peer) -> None:
            peer.send(_TOKEN + b"noise\r" + _TOKEN)
            self.in_step(peer)
            answers((_CREDIT, _IDENTITY + _TOKEN))(peer)

        module = SerialModule(script)
        with Client("serial:" + module.path, **_LONG) as client:
            self.assertTrue(client.exchange(_CREDIT_MESSAGE).ok)
        module.finish()

    def test_a_line_that_hangs_up(self) -> None:
        def script(peer: Peer) -> None:
            self.in_step(peer)
            peer.line()

        module = SerialModule(script, hangs_up=True)
        with Client("serial:" + module.path, **_LONG) as client:
            with self.assertRaises(ConnectionLost):
                client.exchange(_CREDIT_MESSAGE)
            module.finish()
            with self.assertRaises(NotSent):
                client.exchange(_CREDIT_MESSAGE)

    def test_a_line_in_use(self) -> None:
        def script(peer: Peer) -> None:
            self.in_step(peer)
            answers((_IDENTIFY, _IDENTITY), (_CREDIT, _TOKEN))(peer)

        module = SerialModule(script)
        with Client("serial:" + module.path, **_LONG) as client, Client("serial:" + module.path) as second:
            self.assertTrue(client.exchange("SM?DI").ok)
            with self.assertRaises(NotSent):
                second.exchange(_CREDIT_MESSAGE)
            self.assertTrue(client.exchange(_CREDIT_MESSAGE).ok)
        module.finish()

    def test_what_is_no_line(self) -> None:
        for path in ("/dev/null", "/nonexistent", str(_ROOT)):
            with self.subTest(path=path), self.assertRaises(NotSent):
                Client("serial:" + path).exchange("SM?DI")


def cards(*pairs: tuple[str, str]) -> Script:
    """Frames in hexadecimal, after SELECT."""

    def script(peer: Peer) -> None:
        for request, answer in (("00A4040006F05354533601", "9000"), *pairs):
            if (received := peer.frame().hex().upper()) != request:
                raise AssertionError(f"{received} instead of {request}")
            peer.send_frame(bytes.fromhex(answer))

    return script


class Apdu(unittest.TestCase):
    def exchange(self, message: str, *pairs: tuple[str, str]) -> sts6_client.Response:
        module = TcpModule(cards(*pairs))
        try:
            with Client("apdu:" + module.address, retries=0, **_LONG) as client:
                return client.exchange(message)
        finally:
            module.finish()

    def test_without_and_with_data(self) -> None:
        identity = self.exchange("SM?DI", ("8020000000", b"PSOFTSM01~PSTS6-001~".hex() + "9000"))
        self.assertEqual(identity.text, "SM!DI00PSOFTSM01~PSTS6-001~")
        data = _CREDIT_MESSAGE[5:].encode().hex().upper()
        token = self.exchange(_CREDIT_MESSAGE, (f"80100000{len(data) // 2:02X}{data}00",
                                                _TOKEN[7:-5].hex() + "9000"))
        self.assertEqual(token.fields[1].value, "58625789986991357486")

    def test_lengths(self) -> None:
        for size, length, expected in ((255, "FF", "00"), (256, "000100", "0000"), (1000, "0003E8", "0000")):
            text = "P" + "x" * (size - 2) + "~"
            request = f"80300000{length}{text.encode().hex().upper()}{expected}"
            self.assertTrue(self.exchange("SM?KC" + text, (request, "9000")).ok)

    def test_more_data(self) -> None:
        answer = self.exchange("SM?QL" + "N0~", ("80420000034E307E00", "4E317E" + "6103"),
                               ("80C0000003", "4E327E" + "6100"), ("80C0000000", "4E337E" + "9000"))
        self.assertEqual(answer.body, "N1~N2~N3~")

    def test_status_words(self) -> None:
        for word, status, link_error in (("6601", "01", False), ("6641", "41", False), ("6694", "94", False),
                                         ("6657", "57", True), ("6658", "58", True), ("6D00", "21", True)):
            answer = self.exchange("SM?DI", ("8020000000", word))
            self.assertEqual((answer.status, answer.link_error, answer.ok), (status, link_error, False), word)
        extended = self.exchange("SM?DI", ("8020000000", b"why".hex() + "66EE"))
        self.assertEqual((extended.status, extended.fields), ("EE", (("P", "why"),)))

    def test_what_is_no_answer(self) -> None:
        for answer in ("6700", "6985", "6E00", "6A82", "66AB", "6600", "9001", "0000", "416641", "416D00",
                       "0A9000", "FF9000"):
            with self.subTest(answer=answer), self.assertRaises(BadAnswer):
                self.exchange("SM?DI", ("8020000000", answer))
        with self.assertRaises(ConnectionLost):
            self.exchange("SM?DI", ("8020000000", "90"))

    def test_another_application(self) -> None:
        def script(peer: Peer) -> None:
            peer.frame()
            peer.send_frame(bytes.fromhex("6A82"))

        module = TcpModule(script)
        with Client("apdu:" + module.address, **_LONG) as client, self.assertRaises(NotSent):
            client.exchange(_CREDIT_MESSAGE)
        module.finish()

    def test_a_time_out(self) -> None:
        def silent(peer: Peer) -> None:
            cards()(peer)
            peer.frame()
            peer.wait_for_end()

        module = TcpModule(silent, cards(("8020000000", "9000")))
        with Client("apdu:" + module.address, **_SHORT) as client:
            self.assertTrue(client.exchange("SM?DI").ok)  # sent again: it changes nothing
        module.finish()
        module = TcpModule(silent)
        with Client("apdu:" + module.address, **_SHORT) as client, self.assertRaises(TimedOut):
            client.exchange(_CREDIT_MESSAGE)
        module.finish()

    def test_a_card_that_goes(self) -> None:
        def goes(peer: Peer) -> None:
            cards()(peer)
            peer.frame()

        module = TcpModule(goes, cards(("8020000000", "9000")))
        with Client("apdu:" + module.address, **_LONG) as client:
            self.assertTrue(client.exchange("SM?DI").ok)
        module.finish()
        module = TcpModule(goes)
        with Client("apdu:" + module.address, **_LONG) as client, self.assertRaises(ConnectionLost):
            client.exchange(_CREDIT_MESSAGE)
        module.finish()


class CommandLine(unittest.TestCase):
    def run_client(self, *arguments: str) -> tuple[int, str, str]:
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                code = sts6_client.main(list(arguments))
            except SystemExit as end:
                code = int(end.code or 0)
        return code, output.getvalue(), errors.getvalue()

    def test_answers(self) -> None:
        for message, code in ((b"SM!DI00PSOFTSM01~PSTS6-001~", 0), (b"SM!DI01", 1), (b"GL!ER57", 1),
                              (b"GL!ER58", 4)):
            module = TcpModule(answers((_IDENTIFY, message + b"%04X\r" % sts6_client.crc16_arc(message))))
            self.assertEqual(self.run_client("tcp:" + module.address, "SM?DI"),
                             (code, message.decode() + "\n", ""))
            module.finish()

    def test_failures(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        for arguments, code in ((["tcp:h", "SM?DI"], 2), ([f"tcp:127.0.0.1:{port}", "SM?"], 2), ([], 2),
                                (["--retry", "always", "tcp:h:1", "SM?DI"], 2),
                                (["--tls-ca", "/nonexistent", "tls:h:1", "SM?DI"], 2),
                                ([f"tcp:127.0.0.1:{port}", "SM?DI"], 3)):
            with self.subTest(arguments=arguments):
                result = self.run_client(*arguments)
                self.assertEqual(result[:2], (code, ""))
                self.assertTrue(result[2])
        for script, code in ((answers((_CREDIT, _IDENTITY)), 5), (answers((_CREDIT, b"")), 3)):
            module = TcpModule(script)
            self.assertEqual(self.run_client("tcp:" + module.address, _CREDIT_MESSAGE)[:2], (code, ""))
            module.finish()


if __name__ == "__main__":
    unittest.main()
