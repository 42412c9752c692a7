// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <iostream>
#include <memory>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "firmware/sts/tid.hpp"
#include "firmware/sts/token.hpp"
#include "firmware/util/secret.hpp"
#include "sts6/hex.hpp"
#include "sts6/ptvd.hpp"
#include "tools/sts6ctl/module_link.hpp"
#include "tools/sts6ctl/subcommands.hpp"
#include "tools/sts6ctl/token_request.hpp"

namespace sts6::ctl {

namespace {

using nlohmann::json;

struct TokenOptions {
    MeterOptions meter;
    std::string service = "electricity";
    std::optional<std::string> amount;
    std::optional<std::string> money;
    std::string action;
    std::string value;
    std::string time;
    std::string token;
    std::string key_file;
    std::uint32_t new_register = 0;  ///< 0 = the same register
    std::uint32_t new_ti = 1;
    std::uint32_t set_size = 0;  ///< 0 = the shortest set of the EA
    std::uint32_t subclass = 0;
    std::string control;
    std::string mfr_code = "0";
};

std::string field(char type, const std::string& value) {
    return type + value + "~";
}

std::string octets(std::uint32_t value, std::size_t count) {
    std::array<char, 16> buffer{};
    PtvdWriter writer(buffer);
    writer.octets_be(value, count);
    return std::string(writer.written());
}

BaseDate base_date_of(ModuleLink& link, std::uint32_t register_number) {
    const Cards cards = link.key_cards(register_number);
    const auto card = cards.find("BDT");
    const auto year = card == cards.end() ? std::nullopt : ptvd::parse_number(card->second.substr(0, 4));
    const auto base_date = year ? base_date_of_year(static_cast<int>(*year)) : std::nullopt;
    if (!base_date) throw CtlError(kExitIntegrity, "the register's base date is unknown");
    return *base_date;
}

/// Fields that VC, VM and VT begin with.
std::string meter_fields(const MeterOptions& meter) {
    return field('N', std::to_string(meter.register_number)) +
           field('P', std::string(pan_from_text(meter.meter).text())) + field('N', std::to_string(meter.ti)) +
           field('N', std::to_string(meter.ea)) + field('N', std::to_string(meter.tct));
}

std::string in_groups(const std::string& digits) {
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i != 0 && i % 4 == 0) text += ' ';
        text += digits[i];
    }
    return text;
}

/// What a person typed, spaces aside. A text that is no token is refused here: it might hold fields of its
/// own.
sts::TokenNumber token_from_text(std::string text) {
    std::erase(text, ' ');
    const auto token = sts::TokenNumber::parse(text);
    if (!token) usage_error("a token is 20 decimal or 17 hexadecimal digits below 2^66");
    return *token;
}

std::string in_digits(const sts::TokenNumber& token) {
    const auto digits = token.decimal();
    return std::string(digits.data(), digits.size());
}

/// Hexadecimal digits of a number that must fit `bits`.
std::uint64_t hex_field(const std::string& text, unsigned bits, const std::string& what) {
    std::uint64_t value = 0;
    for (const char c : text) {
        const auto digit = hex_value(c);
        if (!digit || value >> 60U != 0) usage_error(what + " must be hexadecimal digits");
        value = (value << 4U) | *digit;
    }
    if (text.empty() || value >> bits != 0) usage_error(what + " must fit " + std::to_string(bits) + " bits");
    return value;
}

/// Asks for a token of VC or VM and prints it.
void request_token(const char* header, const TokenOptions& options, std::uint32_t subclass,
                   const std::string& value, const CommonOptions& common) {
    const std::string first = header + meter_fields(options.meter);
    const CivilTime time = issue_time(options.time);
    ModuleLink link(common.connect, common.client, common.raw);
    const std::uint32_t tid = tid_at(time, base_date_of(link, options.meter.register_number));
    const std::string message = first + field('N', std::to_string(subclass)) + value + octets(tid, 3);
    const auto token = link.call(message, "PP");
    if (common.json) {
        std::cout << json{{"token", token[1]}, {"hex", token[0]}, {"tid", tid}}.dump() << "\n";
    } else {
        std::cout << in_groups(token[1]) << "\n";
    }
}

void run_credit(const TokenOptions& options, const CommonOptions& common) {
    const CreditAmount amount = credit_amount(options.service, options.amount, options.money);
    request_token("SM?VC", options, amount.subclass, octets(amount.field, amount.currency ? 3 : 2), common);
}

void run_manage(const TokenOptions& options, const CommonOptions& common) {
    const ManagementValue value = management_value(options.action, options.value);
    request_token("SM?VM", options, value.subclass, octets(value.field, 2), common);
}

void run_key_change(const TokenOptions& options, const CommonOptions& common) {
    const MeterOptions& meter = options.meter;
    const auto number = [](std::uint32_t value) { return field('N', std::to_string(value)); };
    const std::uint32_t new_register =
        options.new_register == 0 ? meter.register_number : options.new_register;
    const std::uint32_t shortest = meter.ea == static_cast<std::uint32_t>(Ea::sta) ? 2 : 4;
    const std::string message = "SM?VK" + number(meter.register_number) + number(new_register) +
                                field('P', std::string(pan_from_text(meter.meter).text())) +
                                number(meter.ti) + number(meter.ea) + number(meter.tct) +
                                number(options.new_ti) +
                                number(options.set_size == 0 ? shortest : options.set_size);
    const auto values = ModuleLink(common.connect, common.client, common.raw).call(message, "NNPP");
    std::vector<std::string> tokens;
    for (std::string_view rest = values[3]; !rest.empty();
         rest.remove_prefix(std::min(rest.size(), sts::TokenNumber::kDecimalDigits))) {
        tokens.emplace_back(rest.substr(0, sts::TokenNumber::kDecimalDigits));
    }
    if (common.json) {
        std::cout << json{{"tokens", tokens}, {"rollover", values[0] == "1"}}.dump() << "\n";
        return;
    }
    for (const std::string& token : tokens) std::cout << in_groups(token) << "\n";
    if (values[0] == "1") std::cerr << "the base date changes: the meter rolls over\n";
}

void run_meter_test(const TokenOptions& options, const CommonOptions& common) {
    if (options.subclass > 2) usage_error("the SubClass of a meter test is 0, 1 or 2");
    const unsigned code_bits = sts::mfr_code_bits(options.subclass);
    const auto control = hex_field(options.control, 44 - code_bits, "the control");
    const auto code = hex_field(options.mfr_code, code_bits, "the manufacturer code");
    const sts::ClearToken clear =
        sts::meter_test_token(options.subclass, control, static_cast<unsigned>(code));
    const std::string token = in_digits(sts::TokenNumber(clear.token_class, clear.block));
    if (common.json) {
        std::cout << json{{"token", token}}.dump() << "\n";
    } else {
        std::cout << in_groups(token) << "\n";
    }
}

void print_token(const json& report, const CommonOptions& common) {
    if (common.json) {
        std::cout << report.dump() << "\n";
        return;
    }
    for (const auto& [name, value] : report.items()) {
        std::cout << name << ": " << (value.is_string() ? value.get<std::string>() : value.dump()) << "\n";
    }
}

/// What SM?VT says as its result.
std::string result_in_words(const std::string& result) {
    return status_in_words(result.size() == 1 ? "0" + result : result);
}

json token_report(const sts::TokenFields& token, std::optional<BaseDate> base_date) {
    json report = {{"class", token.token_class}, {"subclass", token.subclass}};
    if (!token.has_tid()) return report;
    report["says"] = amount_in_words(token.token_class, token.subclass, token.amount);
    report["tid"] = token.tid;
    if (base_date) {
        const auto time = format_civil_time(sts::time_of_tid(token.tid, *base_date));
        const std::string text(time.data(), time.size());
        report["issued"] = text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2) + " " +
                           text.substr(8, 2) + ":" + text.substr(10, 2);
    }
    return report;
}

std::uint32_t hex_number(const std::string& digits) {
    std::uint32_t value = 0;
    for (const char c : digits) value = (value << 4U) | hex_value(c).value_or(0);
    return value;
}

void run_verify(const TokenOptions& options, const CommonOptions& common) {
    const std::string message =
        "SM?VT" + meter_fields(options.meter) + field('P', in_digits(token_from_text(options.token)));
    ModuleLink link(common.connect, common.client, common.raw);
    const Response response = link.send(message);
    throw_if_refused(response);
    // A damaged token has a result and nothing else.
    const bool read = response.body.find("~N") != std::string::npos;
    const auto values = field_values(response, read ? "NNNHH" : "N");
    const std::string& result = values[0];
    json report = {{"result", result_in_words(result)}};
    if (read) {
        const bool sized = (values[3].size() == 4 || values[3].size() == 6) && values[4].size() == 6;
        if (!sized) throw CtlError(kExitIntegrity, "unexpected answer: " + response.text);
        const sts::TokenFields token{.token_class = ptvd::parse_number(values[1]).value_or(0),
                                     .subclass = ptvd::parse_number(values[2]).value_or(0),
                                     .rnd = 0,
                                     .tid = hex_number(values[4]),
                                     .amount = hex_number(values[3])};
        const auto base_date =
            token.has_tid() ? std::optional(base_date_of(link, options.meter.register_number)) : std::nullopt;
        report.update(token_report(token, base_date));
    }
    print_token(report, common);
    if (result != "0") throw CtlError(kExitRefused, "the token is not good: " + result_in_words(result));
}

/// The first octets of a file, read past every buffer that would keep them. Gives their number.
std::size_t read_file(const std::string& path, std::span<std::uint8_t> into) {
    const auto failed = [&path](int error) {
        usage_error(path + ": " + std::generic_category().message(error));
    };
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0) failed(errno);
    std::size_t size = 0;
    ssize_t count = 0;
    do {
        count = read(descriptor, into.data() + size, into.size() - size);
        if (count > 0) size += static_cast<std::size_t>(count);
    } while ((count > 0 && size < into.size()) || (count < 0 && errno == EINTR));
    const int error = errno;
    close(descriptor);
    if (count < 0) failed(error);
    return size;
}

/// 8 octets for EA07 and 16 for EA11, in hexadecimal.
Secret<16> read_decoder_key(const std::string& path, Ea ea) {
    Secret<64> text;
    const std::size_t size = read_file(path, text.octets());
    std::string_view digits(reinterpret_cast<const char*>(text.octets().data()), size);
    while (digits.ends_with('\n') || digits.ends_with('\r')) digits.remove_suffix(1);
    Secret<16> key;
    const bool whole = size < text.octets().size();
    if (!whole || !read_hex(digits, std::span(key.octets()).first(decoder_key_octets(ea)))) {
        usage_error(path + " must hold " + std::to_string(decoder_key_octets(ea) * 2) +
                    " hexadecimal digits, the decoder key");
    }
    return key;
}

void run_decode(const TokenOptions& options, const CommonOptions& common) {
    const sts::TokenNumber token = token_from_text(options.token);
    std::optional<sts::TokenFields> opened;
    if (token.token_class() == sts::kClassMeterTest) {
        opened = sts::open_unencrypted(token);
    } else if (options.key_file.empty()) {
        print_token({{"class", token.token_class()}, {"says", "encrypted; --key-file opens it"}}, common);
        return;
    } else {
        if (options.meter.ea != 7 && options.meter.ea != 11) usage_error("EA must be 7 or 11");
        const Ea ea = static_cast<Ea>(options.meter.ea);
        const Secret<16> key = read_decoder_key(options.key_file, ea);
        opened = sts::open_token(token, ea, key.octets(), sts::kSampleStaTables);
    }
    if (!opened) throw CtlError(kExitRefused, "the CRC is wrong: another key or EA, or no such token");
    print_token(token_report(*opened, std::nullopt), common);
}

/// A decimal number, leading zeros allowed: people write TI 08, which the parser would take for octal.
void add_number(CLI::App& command, const std::string& name, std::uint32_t& value, const std::string& help) {
    const std::function<void(const std::string&)> read = [&value, name](const std::string& text) {
        const auto first = std::min(text.find_first_not_of('0'), text.empty() ? 0 : text.size() - 1);
        const auto number = ptvd::parse_number(std::string_view(text).substr(first));
        if (!number) throw CLI::ValidationError(name, "must be a number from 0 to 4294967295");
        value = *number;
    };
    command.add_option_function(name, read, help)->type_name("UINT")->default_str(std::to_string(value));
}

void add_meter_options(CLI::App& command, MeterOptions& meter) {
    command.add_option("--meter", meter.meter, "PAN of 18 digits, or DRN of 11 or 13")->required();
    add_number(command, "--register", meter.register_number, "vending key register");
    add_number(command, "--ti", meter.ti, "tariff index");
    add_number(command, "--ea", meter.ea, "encryption algorithm: 7 STA, 11 MISTY1");
    add_number(command, "--tct", meter.tct, "token carrier type");
}

void add_time_option(CLI::App& command, TokenOptions& options) {
    command.add_option("--time", options.time,
                       "issue time \"CCYY-MM-DD hh:mm\", local civil time; default now");
}

}  // namespace

void add_token(CLI::App& app, const CommonOptions& common) {
    auto options = std::make_shared<TokenOptions>();
    CLI::App* token = app.add_subcommand("token", "make, verify and decode tokens");
    token->require_subcommand(1);
    token->fallthrough();

    CLI::App* credit = token->add_subcommand("credit", "make a credit token");
    add_meter_options(*credit, options->meter);
    credit->add_option("--service", options->service, "electricity, water, gas or time")
        ->capture_default_str();
    credit->add_option("--amount", options->amount, "kWh, m3 or minutes, at most one decimal");
    credit->add_option("--money", options->money, "in the base currency unit, at most five decimals");
    add_time_option(*credit, *options);
    credit->callback([options, &common] { run_credit(*options, common); });

    CLI::App* manage = token->add_subcommand("manage", "make a management token");
    add_meter_options(*manage, options->meter);
    manage->add_option("--action", options->action, management_actions())->required();
    manage->add_option("--value", options->value, "what the action sets");
    add_time_option(*manage, *options);
    manage->callback([options, &common] { run_manage(*options, common); });

    CLI::App* change = token->add_subcommand("keychange", "make the tokens that move a meter to another key");
    add_meter_options(*change, options->meter);
    add_number(*change, "--new-register", options->new_register, "register of the new key; 0 = the same");
    add_number(*change, "--new-ti", options->new_ti, "tariff index of the new key");
    add_number(*change, "--tokens", options->set_size,
               "2 or 3 (with the SGC) for EA 7, 4 for EA 11; 0 = the shortest");
    change->callback([options, &common] { run_key_change(*options, common); });

    CLI::App* test = token->add_subcommand("metertest", "make a meter test token, without a module");
    add_number(*test, "--subclass", options->subclass, "0, 1 or 2");
    test->add_option("--control", options->control, "control bits in hexadecimal: 36, for SubClass 1 28")
        ->required();
    test->add_option("--mfr-code", options->mfr_code, "manufacturer code in hexadecimal")
        ->capture_default_str();
    test->callback([options, &common] { run_meter_test(*options, common); });

    CLI::App* verify = token->add_subcommand("verify", "let the module verify a token");
    add_meter_options(*verify, options->meter);
    verify->add_option("TOKEN", options->token, "20 decimal digits, spaces allowed, or 17 hexadecimal")
        ->required();
    verify->callback([options, &common] { run_verify(*options, common); });

    CLI::App* decode = token->add_subcommand("decode", "show what a token says, without a module");
    decode->add_option("TOKEN", options->token, "20 decimal digits, spaces allowed, or 17 hexadecimal")
        ->required();
    decode->add_option("--key-file", options->key_file, "file with the meter's decoder key in hexadecimal");
    add_number(*decode, "--ea", options->meter.ea, "7 (with the sample tables) or 11");
    decode->callback([options, &common] { run_decode(*options, common); });
}

}  // namespace sts6::ctl
