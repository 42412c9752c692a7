// SPDX-License-Identifier: Apache-2.0
#include "tools/sts6ctl/module_link.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include "sts6/ptvd.hpp"
#include "sts6/status.hpp"

namespace sts6::ctl {

namespace {

Client connect(const std::string& url, const ClientOptions& options) {
    auto client = Client::connect(url, options);
    if (client) return std::move(*client);
    const std::string where = url + ": ";
    switch (client.error()) {
        case Errc::invalid_argument:
            usage_error(where + "no link that there can be, or an option of TLS that does not fit it");
        case Errc::permission:
            throw CtlError(kExitNoConnection, where + connect_error_text(client.error()));
        case Errc::malformed:
            throw CtlError(kExitIntegrity, where + "what answers there is no module");
        default:
            throw CtlError(exit_code(client.error()), where + errc_text(client.error()));
    }
}

void show_frame(FrameDirection direction, std::string_view frame) {
    std::cerr << (direction == FrameDirection::sent ? "> " : "< ");
    for (const char c : frame) {
        const auto octet = static_cast<unsigned char>(c);
        if (octet >= ' ' && octet <= '~') {
            std::cerr << c;
        } else {
            std::cerr << "\\x" << hex_digit(octet >> 4U) << hex_digit(octet);
        }
    }
    std::cerr << "\n";
}

void show_apdu(FrameDirection direction, std::string_view apdu) {
    std::cerr << (direction == FrameDirection::sent ? ">" : "<");
    for (const char c : apdu) {
        const auto octet = static_cast<unsigned char>(c);
        std::cerr << " " << hex_digit(octet >> 4U) << hex_digit(octet);
    }
    std::cerr << "\n";
}

}  // namespace

ModuleLink::ModuleLink(const std::string& url, const ClientOptions& options, bool raw)
    : client_(connect(url, options)) {
    if (raw) client_.on_frame(url.starts_with("apdu:") ? show_apdu : show_frame);
}

Response ModuleLink::send(std::string_view message) {
    auto response = client_.exchange(message);
    if (!response) {
        if (response.error() == Errc::invalid_argument) {
            usage_error("no message that this link can carry");
        }
        // What came is damaged, not what was asked for.
        if (response.error() == Errc::malformed) throw CtlError(kExitIntegrity, "the answer is damaged");
        throw CtlError(exit_code(response.error()), errc_text(response.error()));
    }
    return std::move(*response);
}

std::vector<std::string> ModuleLink::call(std::string_view message, std::string_view types) {
    const Response response = send(message);
    throw_if_refused(response);
    return field_values(response, types);
}

std::vector<std::string> field_values(const Response& response, std::string_view types) {
    const auto fields = response.fields();
    std::vector<std::string> values;
    std::string found;
    if (fields) {
        for (const PtvdField& field : *fields) {
            found += field.type;
            values.emplace_back(field.value);
        }
    }
    if (found != types) throw CtlError(kExitIntegrity, "unexpected answer: " + response.text);
    return values;
}

Cards ModuleLink::key_cards(std::uint32_t register_number) {
    return split_cards(call("SM?GAN" + std::to_string(register_number) + "~", "P")[0]);
}

void throw_if_refused(const Response& response) {
    if (response.ok()) return;
    const bool error_state = response.link_error && response.status == Status::app_error_state;
    std::string reason = status_in_words(response.code);
    if (response.status == Status::sts_extended_error) {
        const auto fields = response.fields();
        if (fields && !fields->empty()) reason = "EE " + std::string(fields->front().value);
    }
    throw CtlError(error_state ? kExitErrorState : kExitRefused, "refused: " + reason);
}

std::string status_in_words(std::string_view code) {
    const auto row = find_status(code);
    if (!row) return std::string(code);
    return std::string(code) + " " + row->name + " (" + row->meaning + ")";
}

Cards split_cards(std::string_view text) {
    constexpr std::size_t kTagLength = 3;
    Cards cards;
    while (!text.empty()) {
        const std::string_view card = text.substr(0, text.find(';'));
        if (card.size() >= kTagLength) cards.emplace(card.substr(0, kTagLength), card.substr(kTagLength));
        text.remove_prefix(std::min(text.size(), card.size() + 1));
    }
    return cards;
}

}  // namespace sts6::ctl
