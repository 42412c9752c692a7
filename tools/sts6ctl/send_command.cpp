// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>

#include "sts6/frame.hpp"
#include "tools/sts6ctl/module_link.hpp"
#include "tools/sts6ctl/subcommands.hpp"

namespace sts6::ctl {

namespace {

void run_send(const std::string& message, const CommonOptions& common) {
    // A message that is no line of its own would be taken for several.
    if (message.size() < frame::kHeaderLength || message.find_first_of("\r\n") != std::string::npos) {
        usage_error("a message is a header of five characters and a body, e.g. 'SM?DI'");
    }
    ModuleLink link(common.connect, common.client, common.raw);
    const Response response = link.send(message);
    std::cout << response.text << "\n";
    throw_if_refused(response);
}

/// No module has more.
constexpr unsigned kMostRegisters = 4096;

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

void print_registers(const nlohmann::json& rows) {
    std::cout << "register  sgc     krn  ktc  dkg  base  ken  kcv     name\n";
    for (const auto& row : rows) {
        const auto text = [&row](const char* tag) { return row.value(tag, std::string()); };
        const std::string sgc = text("SGC");
        const std::string number = std::to_string(row.at("register").get<unsigned>());
        std::cout << padded(number, 10) << sgc.substr(sgc.size() > 6 ? sgc.size() - 6 : 0) << "  "
                  << text("KRN") << "    " << text("KTC") << "    " << text("DKG") << "   "
                  << text("BDT").substr(0, 4) << "  " << padded(text("KEN"), 5) << text("KCV") << "  "
                  << text("SGN") << "\n";
    }
}

void run_registers(const CommonOptions& common) {
    ModuleLink link(common.connect, common.client, common.raw);
    nlohmann::json rows = nlohmann::json::array();
    for (unsigned number = 1; number <= kMostRegisters; ++number) {
        const Response response = link.send("SM?GAN" + std::to_string(number) + "~");
        if (response.status == Status::ptvd_range) break;
        if (response.status == Status::register_empty) continue;
        throw_if_refused(response);
        nlohmann::json row = split_cards(field_values(response, "P")[0]);
        row["register"] = number;
        rows.push_back(std::move(row));
    }
    if (common.json) {
        std::cout << rows.dump() << "\n";
    } else {
        print_registers(rows);
    }
}

}  // namespace

void add_send(CLI::App& app, const CommonOptions& common) {
    auto message = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand("send", "send one message and show the answer, CRCs aside");
    command->add_option("MESSAGE", *message, "header and body, e.g. 'SM?DI'")->required();
    command->callback([message, &common] { run_send(*message, common); });
}

void add_registers(CLI::App& app, const CommonOptions& common) {
    CLI::App* command = app.add_subcommand("registers", "list the vending keys");
    command->callback([&common] { run_registers(common); });
}

}  // namespace sts6::ctl
