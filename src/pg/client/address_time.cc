#include "pg/client/address_time.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <libpq-fe.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace standfast::client {
namespace {

constexpr int kMillisecondsInASecond = 1000;
constexpr int kMaxSeconds = 3600;

int number_in(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

AddressTime::AddressTime(pg_conn* connection, const env::Wait& wait) : connection_(connection) {
  PQconninfoOption* const options = PQconninfo(connection);
  if (options == nullptr) return;
  std::int64_t addresses = 1;
  for (const PQconninfoOption* each = options; each->keyword != nullptr; ++each) {
    const std::string_view keyword = each->keyword;
    const std::string_view value = each->val != nullptr ? each->val : "";
    if (keyword == "connect_timeout") {
      milliseconds_ = std::clamp(number_in(value), 0, kMaxSeconds) * kMillisecondsInASecond;
    } else if (keyword == "tcp_user_timeout") {
      afterwards_ = std::max(number_in(value), 0);
    } else if (keyword == "host" || keyword == "hostaddr") {
      addresses = std::max(addresses, std::int64_t{1 + std::count(value.begin(), value.end(), ',')});
    }
  }
  PQconninfoFree(options);
  if (milliseconds_ == 0 && addresses > 1) {
    milliseconds_ = static_cast<int>(wait.deadline.remaining().count() / addresses);
  }
}

void AddressTime::begin() const {
  if (milliseconds_ > 0 && PQstatus(connection_) == CONNECTION_STARTED) set(milliseconds_);
}

void AddressTime::end() const {
  if (milliseconds_ > 0) set(afterwards_);
}

void AddressTime::set(int milliseconds) const {
  const auto value = static_cast<unsigned int>(milliseconds);
  static_cast<void>(setsockopt(PQsocket(connection_), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value));
}

}  // namespace standfast::client
