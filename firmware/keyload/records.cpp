// SPDX-License-Identifier: Apache-2.0
#include "firmware/keyload/records.hpp"

#include <algorithm>

#include "firmware/keyload/text.hpp"

namespace sts6::keyload {

namespace {

constexpr std::uint8_t kUncompressed = 0x04;

/// One record, made apart from what `out` holds: its CRC is over itself alone.
class RecordWriter {
  public:
    [[nodiscard]] TextWriter& text() noexcept { return text_; }
    void finish(TextWriter& out) noexcept {
        text_.put("|");
        put_crc(text_);
        text_.overflow() ? out.fail() : void(out.put(text_.written()));
    }

  private:
    std::array<char, kLongestRecord> buffer_{};
    TextWriter text_{buffer_};
};

bool is_sealed_size(std::size_t octets) noexcept {
    return octets > kCcmTagOctets && octets <= kMostSealedOctets;
}

}  // namespace

std::optional<EcPoint> read_point(std::string_view text) noexcept {
    EcPoint point{};
    if (!read_upper_hex(text, point) || point[0] != kUncompressed) return std::nullopt;
    return point;
}

Result<SmKeyRecord> parse_sm_key(std::string_view text) noexcept {
    const auto fields = split_record<4>(text, kSmKeyType);
    if (!fields) return Unexpected{Errc::malformed};
    const auto smid = parse_identifier((*fields)[1], kSmidType);
    const auto cards = Cards::parse((*fields)[2]);
    const auto key = read_point((*fields)[3]);
    if (!smid || !cards || !key || cards->find("CRV") != kCurve) return Unexpected{Errc::malformed};
    const auto firmware_id = cards->find("FWI");
    const auto hardware_id = cards->find("HWI");
    if (!firmware_id || !is_ident(*firmware_id) || !hardware_id || !is_ident(*hardware_id))
        return Unexpected{Errc::malformed};
    return SmKeyRecord{*smid, *firmware_id, *hardware_id, *key};
}

void put_sm_key(TextWriter& out, const SmKeyRecord& record) noexcept {
    RecordWriter writer;
    writer.text().put(kSmKeyType).put("|").put(record.smid.text);
    writer.text().put("|CRV").put(kCurve).put(";FWI").put(record.firmware_id);
    writer.text().put(";HWI").put(record.hardware_id).put(";|").hex(record.key);
    writer.finish(out);
}

Result<KmcKeyRecord> parse_kmc_key(std::string_view text) noexcept {
    const auto fields = split_record<4>(text, kKmcKeyType);
    if (!fields) return Unexpected{Errc::malformed};
    const auto kmcid = parse_identifier((*fields)[1], kKmcidType);
    const auto cards = Cards::parse((*fields)[2]);
    if (!kmcid || !cards) return Unexpected{Errc::malformed};
    const auto active_from = parse_date(cards->find("ACT").value_or(""));
    const auto expiry = parse_date(cards->find("EXP").value_or(""));
    const auto curve = cards->find("CRV");
    if (!active_from || !expiry || *active_from >= *expiry || !curve) return Unexpected{Errc::malformed};
    return KmcKeyRecord{*kmcid, *active_from, *expiry, *curve, (*fields)[3]};
}

void put_kmc_key(TextWriter& out, const KmcKeyRecord& record) noexcept {
    RecordWriter writer;
    writer.text().put(kKmcKeyType).put("|").put(record.kmcid.text).put("|ACT");
    put_date(writer.text(), record.active_from);
    writer.text().put(";CRV").put(record.curve).put(";EXP");
    put_date(writer.text(), record.expiry);
    writer.text().put(";|").put(record.point);
    writer.finish(out);
}

Result<LoadRequest> parse_load_request(std::string_view text) noexcept {
    const auto fields = split_record<5>(text, kLoadRequestType);
    if (!fields) return Unexpected{Errc::malformed};
    const auto kmcid = parse_identifier((*fields)[1], kKmcidType);
    const auto smid = parse_identifier((*fields)[2], kSmidType);
    const auto time = parse_date((*fields)[3]);
    const auto key = read_point((*fields)[4]);
    if (!kmcid || !smid || !time || !key) return Unexpected{Errc::malformed};
    return LoadRequest{*kmcid, *smid, *time, *key};
}

void put_load_request(TextWriter& out, const LoadRequest& request) noexcept {
    RecordWriter writer;
    writer.text().put(kLoadRequestType).put("|").put(request.kmcid.text).put("|");
    writer.text().put(request.smid.text).put("|");
    put_date(writer.text(), request.time);
    writer.text().put("|").hex(request.ephemeral_key);
    writer.finish(out);
}

Result<LoadResponse> parse_load_response(std::string_view text) noexcept {
    const auto fields = split_record<5>(text, kLoadResponseType);
    if (!fields) return Unexpected{Errc::malformed};
    const auto kmcid = parse_identifier((*fields)[1], kKmcidType);
    const auto smid = parse_identifier((*fields)[2], kSmidType);
    const auto time = parse_date((*fields)[3]);
    LoadResponse response;
    if (!kmcid || !smid || !time || !read_upper_hex((*fields)[4], response.mac_tag))
        return Unexpected{Errc::malformed};
    response.kmcid = *kmcid;
    response.smid = *smid;
    response.time = *time;
    response.body = text.substr(0, static_cast<std::size_t>((*fields)[4].data() - text.data()));
    return response;
}

void put_load_response_body(TextWriter& out, std::string_view kmcid, std::string_view smid,
                            CivilTime time) noexcept {
    out.put(kLoadResponseType).put("|").put(kmcid).put("|").put(smid).put("|");
    put_date(out, time);
    out.put("|");
}

void put_load_response(TextWriter& out, std::string_view body, const MacTag& mac_tag) noexcept {
    RecordWriter writer;
    writer.text().put(body).hex(mac_tag);
    writer.finish(out);
}

Result<KeyRecord> parse_key(std::string_view text) noexcept {
    const auto fields = split_record<4>(text, kKeyType);
    if (!fields) return Unexpected{Errc::malformed};
    const auto cards = Cards::parse((*fields)[2]);
    const std::size_t sealed_size = (*fields)[3].size() / 2;
    if (!cards || !is_sealed_size(sealed_size)) return Unexpected{Errc::malformed};
    KeyRecord record{.nonce = {},
                     .cards_text = (*fields)[2],
                     .cards = *cards,
                     .body = text.substr(0, static_cast<std::size_t>((*fields)[3].data() - text.data())),
                     .sealed_buffer = {},
                     .sealed_size = sealed_size};
    if (!read_upper_hex((*fields)[1], record.nonce) ||
        !read_upper_hex((*fields)[3], std::span(record.sealed_buffer).first(sealed_size))) {
        return Unexpected{Errc::malformed};
    }
    return record;
}

void put_key_body(TextWriter& out, const Nonce& nonce, std::string_view cards) noexcept {
    out.put(kKeyType).put("|").hex(nonce).put("|").put(cards).put("|");
}

void put_key(TextWriter& out, std::string_view body, std::span<const std::uint8_t> sealed) noexcept {
    RecordWriter writer;
    writer.text().put(body).hex(sealed);
    writer.finish(out);
}

}  // namespace sts6::keyload
