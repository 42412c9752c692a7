// SPDX-License-Identifier: Apache-2.0
// A blocking client for vending systems: one link to a module, one command in flight.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sts6/errc.hpp"
#include "sts6/ptvd.hpp"
#include "sts6/result.hpp"
#include "sts6/status.hpp"

namespace sts6 {

/// What becomes of a command whose answer does not come, comes damaged, or is GL!ER20. See Client::exchange.
enum class Retry : std::uint8_t {
    none,    ///< sent once
    repeat,  ///< asks for the lost answer (GL?RR), sends again only what was certainly not executed or
             ///< changes nothing
    resend,  ///< sends the whole command again, as clients without GL?RR do: a resent SM?VC is a new command
};

struct ClientOptions {
    /// For connecting, and for each exchange as a whole, tries included. Looking a host name up takes as long
    /// as the system takes; a numeric address needs no looking up.
    std::uint32_t timeout_ms = 5000;
    /// Without an answer for so long, it counts as lost and `retry` decides. The last try, and Retry::none,
    /// wait for as long as `timeout_ms` leaves.
    std::uint32_t answer_ms = 1500;
    std::uint32_t retries = 3;  ///< beyond the first try
    Retry retry = Retry::repeat;
    /// For TLS alone: PEM files. Without `tls_ca` the system's authorities are trusted (OpenSSL's default
    /// paths, SSL_CERT_FILE); a certificate and its key, both or neither, when the module wants one.
    std::string tls_ca{};
    std::string tls_certificate{};
    std::string tls_private_key{};
};

/// A module's answer, its header and CRC checked.
struct Response {
    bool link_error = false;       ///< GL!ER came instead of the command's own answer
    std::optional<Status> status;  ///< none for a code that is not in the status table
    std::string code;              ///< the status as received, two characters
    std::string body;              ///< what follows the status
    std::string text;              ///< the whole message without CRC

    [[nodiscard]] bool ok() const noexcept { return !link_error && status == Status::successful; }

    /// The PTVD fields of the body, as views into it. malformed when it does not consist of fields.
    [[nodiscard]] Result<std::vector<PtvdField>> fields() const;
};

enum class FrameDirection : std::uint8_t { sent, received };

/// Not for concurrent use. A moved-from client may only be assigned to or destroyed.
class Client {
  public:
    ///   tcp:HOST:PORT, tcp-env:HOST:PORT  raw lines, the envelope; an IPv6 address stands in brackets
    ///   tls:HOST:PORT, tls-env:HOST:PORT  the same in TLS 1.2 or later, certificate and host name verified
    ///   serial:PATH[,BAUD]                8N1 without handshake; 9600 baud when none is named
    ///   apdu:HOST:PORT                    APDUs, each behind its length of two octets
    /// Errors:
    ///   invalid_argument    another URL, a time of 0, a baud rate the system has not, a TLS file that is
    ///                       none of its kind, or one named without TLS
    ///   permission          the module's certificate is not trusted, or is another host's
    ///   in_use              another program has the serial device
    ///   malformed           who answers APDUs is no module
    ///   timed_out, io_failed
    static Result<Client> connect(std::string_view url, const ClientOptions& options = {});

    Client(Client&& other) noexcept;
    Client& operator=(Client&& other) noexcept;
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client();

    /// Sends a message, header and body ("SM?DI"), and waits for its answer. Over APDUs the answer is given
    /// as a line would have it.
    ///   invalid_argument  no request header, other characters than x20..x7E, too long, or without an APDU
    ///                     form; nothing was sent
    ///   malformed         an answer with a wrong CRC, of another command, too long, or no message at all
    ///   timed_out, io_failed, and what connect() answers when it has to connect again
    /// With Retry::none a GL!ER20 is given as it comes, and is no refusal: noise in front of a command that
    /// was executed has it too. After an error other than the first the command may have been executed:
    /// whether to send it again is the caller's decision, since a second SM?VC is a second token.
    ///
    /// Retry::repeat never executes a command twice, and never takes an earlier answer for a new one:
    /// * After silence, damage or GL!ER20 it asks by GL?RR, which brings the last answer of the link and
    ///   executes nothing. GL!ER20 alone proves nothing: noise in front of a command that arrived has it too.
    /// * When the command did not arrive, GL?RR brings the answer to the one before. So the client remembers
    ///   the last answer it accepted. Those octets again mean that the command was not executed, and it is
    ///   sent again; so does GL!ER21 (nothing remembered) on a connection that has had no answer yet.
    /// * Some answers would have those octets anyway: to a command that was just sent in the same words, or
    ///   one that makes no token. They prove nothing, and unless the command's own answer comes too, late,
    ///   the exchange ends in timed_out. So it does on GL!ER21 where there was an answer to remember, as the
    ///   module has been started anew, and on GL!ER58, which hides what it remembers.
    /// * What changes nothing (`reads` in the command table) is sent again whenever that is not known.
    /// * With a connection the module's memory is gone: then, and over APDUs, which have no GL?RR, only what
    ///   changes nothing is sent again. A serial line is opened again and GL?RR asked: its memory stays.
    ///
    /// After an exchange that failed or was tried again, a late answer or the copy by GL?RR may still come.
    /// The next exchange begins where nothing can: on a new connection; on serial behind GL?RS and an echo of
    /// a random text, which is also how a serial link begins. The same happens when the module has closed the
    /// connection, or has sent what nobody asked for. On serial an answer to another command is noise, and is
    /// skipped. The memory of a TCP connection must begin empty, as the protocol has it: behind a converter
    /// from TCP to serial use Retry::none.
    Result<Response> exchange(std::string_view message);

    /// Shows every frame as it is on the wire, from within exchange(). What came of an answer that is not
    /// accepted is shown too; an APDU without its length. `show` must not throw.
    void on_frame(std::function<void(FrameDirection, std::string_view)> show);

  private:
    struct Impl;
    explicit Client(std::unique_ptr<Impl> impl) noexcept;

    std::unique_ptr<Impl> impl_;
};

/// errc_text() for an error of Client::connect(), where `permission` is about the module's certificate.
constexpr const char* connect_error_text(Errc error) noexcept {
    return error == Errc::permission ? "its certificate is not trusted, or is another host's"
                                     : errc_text(error);
}

}  // namespace sts6
