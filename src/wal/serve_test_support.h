// A dialogue with a ServeSession, written down line by line:
//   > what the client sent          < what it is sent          anything else: an action, or an event of the
//   test
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pg/format/backend_message.h"
#include "wal/serve_session.h"

namespace standfast::wal {

inline constexpr std::uint64_t kMegabyte = 1U << 20U;
inline constexpr std::uint64_t kServeSegmentBytes = 16 * kMegabyte;

inline std::string startup_packet(std::uint32_t code, std::string_view rest = "") {
  std::string bytes;
  base::append_u32_be(bytes, static_cast<std::uint32_t>(8 + rest.size()));
  base::append_u32_be(bytes, code);
  return bytes + std::string(rest);
}
inline constexpr std::uint32_t kSslRequestCode = 80877103;
inline constexpr std::uint32_t kGssRequestCode = 80877104;
inline constexpr std::uint32_t kCancelRequestCode = 80877102;
inline constexpr std::uint32_t kProtocol30Code = 196608;

/// The messages of a server, one a line.
class BackendText {
 public:
  static std::string of(base::Bytes bytes) {
    std::string lines;
    for (base::ByteReader reader(bytes); reader.remaining() > 0;) {
      const char kind = static_cast<char>(*reader.u8());
      if (reader.remaining() == 0 || reader.remaining() < 4)
        return lines + fmt::format("< {}\n", kind);  // 'N', 'S'
      const std::size_t length = *reader.u32_be();
      lines += fmt::format("< {}{}\n", kind, body(kind, *reader.take(length - 4)));
    }
    return lines;
  }

 private:
  static std::string body(char kind, base::Bytes bytes) {
    base::ByteReader reader(bytes);
    switch (kind) {
      case 'E':
      case 'N':
        return report(reader);
      case 'T':
        return columns(reader);
      case 'D':
        return row(reader);
      case 'd':
        return keepalive(bytes);
      default:
        return bytes.empty() ? "" : " " + visible(base::as_text(bytes));
    }
  }
  static std::string visible(std::string_view text) {
    std::string out;
    for (const char c : text)
      out += c < 0x20 || c > 0x7e ? fmt::format("\\{}", static_cast<unsigned char>(c)) : std::string(1, c);
    return out;
  }
  static std::string report(base::ByteReader reader) {
    std::string text;
    while (const auto field = reader.u8().value_or(0)) {
      const std::string_view value = *reader.c_string();
      if (field == 'V') continue;
      text += field == 'D' ? " detail: " : field == 'H' ? " hint: " : " ";
      text += value;
    }
    return text;
  }
  static std::string columns(base::ByteReader reader) {
    std::string text;
    for (int left = *reader.u16_be(); left > 0; --left) {
      text += fmt::format(" {}", *reader.c_string());
      static_cast<void>(reader.take(6));
      text += *reader.u32_be() == 20 ? ":int8" : "";
      static_cast<void>(reader.take(8));
    }
    return text;
  }
  static std::string row(base::ByteReader reader) {
    std::string text;
    for (int left = *reader.u16_be(); left > 0; --left) {
      const std::uint32_t length = *reader.u32_be();
      text +=
          length == UINT32_MAX ? " NULL" : fmt::format(" {}", visible(base::as_text(*reader.take(length))));
    }
    return text;
  }
  static std::string keepalive(base::Bytes bytes) {
    const auto message = pg::parse_replication_message(bytes);
    if (!message) return " ?";
    const auto& keepalive = std::get<pg::Keepalive>(*message);
    return fmt::format(" k {}{}", keepalive.server_end.to_string(),
                       keepalive.reply_requested ? " reply" : "");
  }
};

class Dialogue {
 public:
  static ServeSession::Options options() {
    return {.facts = {.system_id = pg::SystemId(7711063624979300494),
                      .server_version = "15.18",
                      .segment_bytes = kServeSegmentBytes},
            .store = {.timeline = pg::TimelineId(1), .durable_end = pg::Lsn(3 * kServeSegmentBytes)},
            .key = {.process_id = 7, .secret = 9}};
  }
  explicit Dialogue(ServeSession::Options options = Dialogue::options())
      : session(std::move(options), at(0)) {}

  /// Over the login, without a line of it.
  void log_in() {
    using namespace std::string_view_literals;
    receive(startup_packet(kProtocol30Code, "user\0stream\0replication\0true\0application_name\0b\0\0"sv));
    receive(pg::encode_message('p', "SCRAM-SHA-256\0\0\0\0\5n,,n="sv));
    session.on_scram_challenge(base::as_bytes("r=1"));
    receive(pg::encode_message('p', "c=biws"));
    session.on_scram_accepted(base::as_bytes("v=2"));
    perform();
    log.clear();
  }

  serve::Instant at(int second) const { return {base::Clock::time_point{} + base::Seconds(second), second}; }

  void client(const std::string& name, const std::string& bytes) {
    log += fmt::format("> {}\n", name);
    receive(bytes);
  }
  void query(std::string_view text) {
    client(std::string(text), pg::encode_message('Q', std::string(text) + '\0'));
  }
  void status(pg::Lsn write, pg::Lsn flush, pg::ReplyRequest reply = pg::ReplyRequest::kNo) {
    client(fmt::format("r {} {}{}", write.to_string(), flush.to_string(),
                       reply == pg::ReplyRequest::kYes ? " reply" : ""),
           pg::encode_message(
               'd', pg::encode_standby_status({.write = write, .flush = flush, .reply_request = reply})));
  }
  void copy_done() { client("c", pg::encode_message('c', "")); }
  /// Answers the ReadWal at hand.
  void wal_read() {
    session.on_wal_read(at(clock));
    perform();
  }
  void all_sent() {
    session.on_sent(std::exchange(unsent_bytes, 0), at(clock));
    perform();
  }
  void slot(const serve::SlotAnswer& answer) {
    session.on_slot(answer, at(clock));
    perform();
  }
  void store(serve::StoreView view) {
    session.on_store(std::move(view), at(clock));
    perform();
  }
  void time(int now) {
    clock = now;
    session.on_time(at(now));
    perform();
  }
  void stop() {
    session.on_stop(at(clock));
    perform();
  }

  void receive(const std::string& bytes) {
    left = bytes.substr(session.receive(base::as_bytes(bytes), at(clock)));
    if (!left.empty()) log += fmt::format("left {}\n", left.size());
    perform();
  }
  void perform() {
    for (const serve::Action& action : session.take_actions())
      log += std::visit([&](const auto& each) { return line(each); }, action);
  }
  std::string take_log() { return "\n" + std::exchange(log, ""); }

  ServeSession session;
  std::string log;
  std::string left;
  std::size_t unsent_bytes = 0;
  int clock = 0;  ///< in seconds

 private:
  std::string line(const serve::Send& send) {
    unsent_bytes += send.bytes.size();
    return BackendText::of(base::as_bytes(send.bytes));
  }
  std::string line(const serve::SendWal& send) {
    unsent_bytes += send.header.size() + send.wal_bytes;
    base::ByteReader reader(base::as_bytes(send.header));
    EXPECT_EQ(*reader.u8(), 'd');
    EXPECT_EQ(*reader.u32_be(), 4 + 25 + send.wal_bytes);
    const auto data = std::get<pg::WalData>(*pg::parse_replication_message(reader.rest()));
    return fmt::format("< w {} +{} of {}\n", data.start.to_string(), send.wal_bytes,
                       data.server_end.to_string());
  }
  static std::string line(const serve::StartTls& /*action*/) { return "StartTls\n"; }
  static std::string line(const serve::BeginScram& scram) {
    return fmt::format("BeginScram {} {} {}\n", scram.user, scram.mechanism, scram.client_first);
  }
  static std::string line(const serve::ContinueScram& scram) {
    return fmt::format("ContinueScram {}\n", scram.client_final);
  }
  static std::string line(const serve::LoggedIn& login) {
    return fmt::format("LoggedIn {} {}\n", login.user, login.application_name);
  }
  static std::string line(const serve::ReadHistory& read) {
    return fmt::format("ReadHistory {}\n", read.timeline.value());
  }
  static std::string line(const serve::CreateSlot& create) {
    return fmt::format("CreateSlot {}{}{}\n", create.slot,
                       create.life == pg::SlotLife::kTemporary ? " temporary" : "",
                       create.reserve_wal == pg::ReserveWal::kYes ? " reserve" : "");
  }
  static std::string line(const serve::ReadSlot& read) { return fmt::format("ReadSlot {}\n", read.slot); }
  static std::string line(const serve::DropSlot& drop) {
    return fmt::format("DropSlot {}{}\n", drop.slot,
                       drop.when_active == pg::WhenActive::kWait ? " wait" : "");
  }
  static std::string line(const serve::AcquireSlot& acquire) {
    return fmt::format("AcquireSlot {}\n", acquire.slot);
  }
  static std::string line(const serve::AdvanceSlot& advance) {
    return fmt::format("AdvanceSlot {} {}\n", advance.timeline.value(), advance.flushed.to_string());
  }
  static std::string line(const serve::ReleaseSlot& /*action*/) { return "ReleaseSlot\n"; }
  static std::string line(const serve::ReadWal& read) {
    return fmt::format("ReadWal {} {} {}\n", read.timeline.value(), read.start.to_string(),
                       read.end.to_string());
  }
  static std::string line(const serve::StandbyPositions& standby) {
    return fmt::format("StandbyPositions {} {} {}\n", standby.write.to_string(), standby.flush.to_string(),
                       standby.apply.to_string());
  }
  static std::string line(const serve::StandbyFeedback& standby) {
    return fmt::format("StandbyFeedback {} {}\n", standby.feedback.xmin, standby.feedback.catalog_xmin);
  }
  static std::string line(const serve::End& end) { return fmt::format("End: {}\n", end.reason); }
};

}  // namespace standfast::wal
