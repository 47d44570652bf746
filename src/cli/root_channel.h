// The socket between the process that stays root and its child that has become someone else: one request, one
// answer, each one bounded message.
//
// Threading: one thread at each end. Ownership: a Channel owns its end.
// Invariant: root takes nothing from a message but a word it knows, a number and a unit's name, and asks by
// itself whether that unit runs the data directory the command was started for; or an address, which must be
// one that the user named to root himself, and a port. Fails: kIo when the other end
// is gone or says something else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/server/root_helper.h"

namespace standfast::cli {

inline constexpr std::size_t kMaxMessageBytes = 4096;
/// The longest that root lets the service manager take.
inline constexpr base::Seconds kMaxUnitActionTime(3600);

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  ~Channel() { close(); }
  Channel(Channel&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Channel& operator=(Channel&&) = delete;

  int fd() const { return fd_; }
  void close();
  base::Result<void> send(std::string_view message) const;
  /// One message that is there; closes itself when the other end has gone.
  std::optional<std::string> receive();
  void answer(const base::Result<void>& result) const;
  void answer(std::string_view message) const;

 private:
  int fd_;
};

base::Result<std::pair<Channel, Channel>> make_channel();

/// The child's end.
std::unique_ptr<server::RootHelper> make_channel_helper(Channel channel);
/// What the user asked for when he started the command as root; root does nothing else.
struct RootLeave {
  std::string data_directory;
  std::vector<std::string> firewall_addresses = {};  ///< may be let through the firewall
};
/// Root's end: does what a message asks for, or refuses; the answer as it is sent.
std::string serve_request(env::FileSystem& files, const RootLeave& leave, std::string_view message);
base::Result<void> serve_unit_request(env::FileSystem& files, const std::string& data_directory,
                                      std::string_view message);
base::Result<server::FirewallAnswer> serve_firewall_request(env::FileSystem& files, const RootLeave& leave,
                                                            std::string_view message);

// The parts, for tests.

struct UnitRequest {
  server::UnitAction action = server::UnitAction::kStart;
  base::Milliseconds timeout{};
  std::string unit;
};
/// "start 30000 postgresql@15-main.service"
std::string encode_request(const UnitRequest& request);
std::optional<UnitRequest> decode_request(std::string_view message);
std::string encode_answer(const base::Result<void>& result);
base::Result<void> decode_answer(std::string_view message);

struct TimedFirewallRequest {
  server::FirewallRequest request;
  base::Milliseconds timeout{};
};
/// "firewall-open 30000 10.20.20.2/32 5432"
std::string encode_firewall_request(const TimedFirewallRequest& request);
std::optional<TimedFirewallRequest> decode_firewall_request(std::string_view message);
std::string encode_firewall_answer(const base::Result<server::FirewallAnswer>& result);
base::Result<server::FirewallAnswer> decode_firewall_answer(std::string_view message);

}  // namespace standfast::cli
