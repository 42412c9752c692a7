// SPDX-License-Identifier: Apache-2.0
#include "src/links/message_protocol.hpp"

#include <algorithm>

namespace sts6 {

namespace {

Framed next_frame(std::variant<std::monostate, LineDecoder, EnvelopeDecoder>& decoder,
                  std::string_view& in) noexcept {
    if (auto* lines = std::get_if<LineDecoder>(&decoder)) return lines->next(in);
    if (auto* envelopes = std::get_if<EnvelopeDecoder>(&decoder)) return envelopes->next(in);
    return {};
}

/// Header and status of an answer.
std::array<char, frame::kHeaderLength + 2> answer_head(const Exchange& exchange) noexcept {
    std::array<char, frame::kHeaderLength + 2> head{'G', 'L', '!', 'E', 'R'};
    if (!exchange.answer.is_link_error()) {
        std::copy_n(exchange.message.begin(), frame::kHeaderLength, head.begin());
        head[2] = '!';
    }
    std::ranges::copy(status_code(exchange.answer.status()), head.begin() + frame::kHeaderLength);
    return head;
}

}  // namespace

void MessageProtocol::recognise() {
    switch (EnvelopeDecoder::guess(input_.held())) {
        case EnvelopeDecoder::Guess::raw:
            decoder_.emplace<LineDecoder>();
            break;
        case EnvelopeDecoder::Guess::enveloped:
            decoder_.emplace<EnvelopeDecoder>();
            break;
        case EnvelopeDecoder::Guess::undecided:
            break;
    }
}

std::size_t MessageProtocol::complete_size() const {
    Decoder decoder = decoder_;
    std::string_view rest = input_.held();
    std::size_t complete = 0;
    while (!rest.empty()) {
        if (next_frame(decoder, rest).kind == Framed::Kind::incomplete) break;
        complete = input_.held().size() - rest.size();
    }
    return complete;
}

void MessageProtocol::silence() {
    if (std::holds_alternative<std::monostate>(decoder_)) recognise();
    if (std::holds_alternative<std::monostate>(decoder_)) {
        // Octets of an envelope that will not come are dropped; ended lines of two octets are lines.
        if (!input_.held().ends_with(frame::kEnd) && input_.held() != "\r\n") {
            input_.keep_front(0);
        } else {
            decoder_.emplace<LineDecoder>();
        }
        return;
    }
    const std::size_t complete = complete_size();
    input_.keep_front(complete);
    if (complete > 0) return;
    if (auto* lines = std::get_if<LineDecoder>(&decoder_)) lines->reset();
    if (auto* envelopes = std::get_if<EnvelopeDecoder>(&decoder_)) envelopes->reset();
}

LinkStep MessageProtocol::next(Exchange& exchange) {
    if (in_progress_) return {};
    if (std::holds_alternative<std::monostate>(decoder_)) recognise();
    std::string_view rest = input_.held();
    const Framed framed = next_frame(decoder_, rest);
    if (!std::holds_alternative<std::monostate>(decoder_))
        input_.drop_front(input_.held().size() - rest.size());
    if (framed.kind == Framed::Kind::incomplete) return {};
    exchange.message = framed.message;
    exchange.role = role_;
    exchange.expired = false;
    if (framed.kind == Framed::Kind::damaged) {
        exchange.answer.set_link_error(Status::checksum_error);
        return {LinkStep::Kind::send, encode_notice(exchange)};
    }
    const CommandRow* row = find_command(framed.message);
    if (row != nullptr && row->is_link_command()) {
        return {LinkStep::Kind::send, answer_link_command(*row, exchange)};
    }
    in_progress_ = true;
    return {LinkStep::Kind::command, {}};
}

std::string_view MessageProtocol::answer_link_command(const CommandRow& row, Exchange& exchange) {
    Answer& answer = exchange.answer;
    if (services_.in_error_state()) {
        answer.set_link_error(Status::app_error_state);
    } else {
        services_.answer_link_command(row, exchange);
    }
    if (row.id != CommandId::repeat && row.id != CommandId::reset) return encode_response(exchange);
    if (!answer.is_link_error() && answer.status() == Status::successful) {
        if (row.id == CommandId::reset) {
            response_size_ = 0;
        } else if (response_size_ > 0) {
            return {response_.data(), response_size_};
        } else {
            answer.set_link_error(Status::invalid_request_header);
        }
    }
    return encode_notice(exchange);
}

std::string_view MessageProtocol::release(const Exchange& exchange) noexcept {
    in_progress_ = false;
    return encode_response(exchange);
}

bool MessageProtocol::enveloped(const Answer& answer) const noexcept {
    return std::holds_alternative<EnvelopeDecoder>(decoder_) &&
           !(answer.is_link_error() && services_.gler_unframed);
}

std::string_view MessageProtocol::encode_notice(const Exchange& exchange) noexcept {
    const auto head = answer_head(exchange);
    return {notice_.data(), frame::encode({head.data(), head.size()}, enveloped(exchange.answer), notice_)};
}

std::string_view MessageProtocol::encode_response(const Exchange& exchange) noexcept {
    const auto head = answer_head(exchange);
    response_size_ = frame::encode({head.data(), head.size()}, exchange.answer.body(),
                                   enveloped(exchange.answer), response_);
    return {response_.data(), response_size_};
}

}  // namespace sts6
