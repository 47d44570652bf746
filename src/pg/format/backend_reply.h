// What a server says, as its client reads it (libpq/fe-protocol3.c; the manual's "Message Formats"), as far
// as statements and streams of a replication connection need it. What encodes the same is backend_message.h.
//
// Threading: pure functions on values. Ownership: what is parsed views the bytes it was parsed from, unless
// it holds strings. Fails: kProtocol; a length outside its bounds, and an unknown kind, as soon as the header
// is there, so that nothing is waited for that may not be.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "pg/format/backend_message.h"

namespace standfast::pg {

constexpr std::size_t kBackendHeaderBytes = 5;
/// A walsender sends 16 blocks at most, of at most 64 KiB, and a little about them.
constexpr std::size_t kMaxBackendMessageBytes = std::size_t{2} << 20U;

/// How long the message is that these bytes begin with, its header counted; no value: more of them are
/// needed.
base::Result<std::optional<std::size_t>> backend_message_bytes(base::Bytes front);

/// 'E' and 'N'. A severity that is not known is an error's.
base::Result<ServerReport> parse_report(base::Bytes body);
/// The names of 'T'.
base::Result<std::vector<std::string_view>> parse_row_description(base::Bytes body);
/// The values of 'D'; none for NULL.
base::Result<std::vector<std::optional<std::string_view>>> parse_data_row(base::Bytes body);

}  // namespace standfast::pg
