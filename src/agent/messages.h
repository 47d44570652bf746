// What members say to an agent and what it answers (docs/formats/agent-messages.md): inside TLS, one message
// after the other, each a kind, a length and a body; integers in network byte order.
//
// A client never names a path: files have the numbers that the agent's list gave them, for as long as the
// backup lasts. Each request has one answer, in its order, so that a client may ask for more before it has
// read; FileEntries come until one says that it is the last.
//
// Threading: pure functions on values. Ownership: what is parsed views the bytes it was parsed from where it
// is Bytes, else holds it. Invariants: what is parsed passes check(), and encodes to the bytes that it was
// parsed from; neither side is believed more than that. Fails: kProtocol; a kind that the speaker does not
// have as soon as its byte is there, a length outside of its kind's bounds as soon as the header is. What is
// encoded must pass check() (CHECK): whoever fills a message from a database or a folder asks check() first.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/hash128.h"
#include "base/result.h"
#include "base/secret.h"
#include "pg/format/lsn.h"

namespace standfast::agent {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr std::size_t kMessageHeaderBytes = 5;
/// Of one answer; what a fetcher holds is a few of these.
constexpr std::size_t kMaxRangeBytes = std::size_t{1} << 20U;
constexpr std::size_t kMaxHashesInAnswer = 4096;
/// Of one answer: what a disk reads within the deadline of one.
constexpr std::uint64_t kMaxHashedBytes = std::uint64_t{1} << 30U;
constexpr std::size_t kMinRunBytes = 4096;
constexpr std::size_t kMaxEntriesInAnswer = 1000;
constexpr std::size_t kMaxTablespaces = 1000;
constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxLabelBytes = 1024;  ///< PostgreSQL's own bound (MAXPGPATH)
constexpr std::size_t kMaxSecretBytes = 256;
constexpr std::size_t kMaxSlotNameBytes = 63;
constexpr std::size_t kMaxTextBytes = 16384;  ///< of a certificate request, a label file, an error's text
constexpr std::size_t kMaxTablespaceMapBytes = std::size_t{1} << 20U;
constexpr std::size_t kMaxRevokedListBytes = std::size_t{1} << 20U;
constexpr std::uint32_t kMaxMode = 0777;  ///< permission bits alone: no set-user-id in a data directory

// ---------------------------------------------------------------- requests

struct Hello {
  std::uint32_t version = kProtocolVersion;
  pg::SystemId system_id;  ///< of the cluster that is meant
  bool operator==(const Hello&) const = default;
};
/// The only one but Hello that needs no certificate: asks for one with the secret of a token.
struct SignRequest {
  base::Secret secret;
  std::string request_pem;
  bool operator==(const SignRequest&) const = default;
};
/// Asks for a certificate in place of the one that the connection was made with.
struct RenewRequest {
  std::string request_pem;
  bool operator==(const RenewRequest&) const = default;
};
enum class Checkpoint : std::uint8_t { kFast = 0, kSpread = 1 };
/// Begins a backup, which lasts as long as this connection.
struct BeginBackup {
  std::string label;  ///< one line
  Checkpoint checkpoint = Checkpoint::kSpread;
  bool operator==(const BeginBackup&) const = default;
};
/// 128 bits that nobody guesses; other connections of the same member take part by it.
using BackupId = base::Hash128;
struct AttachBackup {
  BackupId id;
  bool operator==(const AttachBackup&) const = default;
};
struct ListFiles {
  bool operator==(const ListFiles&) const = default;
};
enum class Compression : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };
struct ReadRange {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint32_t length_bytes = 0;  ///< 1 to kMaxRangeBytes
  Compression compression = Compression::kNone;
  bool operator==(const ReadRange&) const = default;
};
/// Of runs that begin at `offset` and every `run_bytes` after; the last may be shorter.
struct HashRange {
  std::uint32_t file = 0;
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;  ///< at most kMaxHashesInAnswer runs, and kMaxHashedBytes
  std::uint32_t run_bytes = 0;     ///< kMinRunBytes to kMaxRangeBytes
  bool operator==(const HashRange&) const = default;
};
/// Ends the backup; the WAL is streamed, so that no archiving is waited for.
struct EndBackup {
  bool operator==(const EndBackup&) const = default;
};

/// Asks for the list of revoked certificates that the agent has: a member takes the newest of all that it
/// gets.
struct ListRevoked {
  bool operator==(const ListRevoked&) const = default;
};

/// Asks how the replication slot stands that holds the WAL of the backup, of who began it.
struct LookAtSlot {
  std::string name;
  bool operator==(const LookAtSlot&) const = default;
};

/// Their numbers in the protocol count from 0x01 in this order.
using Request = std::variant<Hello, SignRequest, RenewRequest, BeginBackup, AttachBackup, ListFiles,
                             ReadRange, HashRange, EndBackup, ListRevoked, LookAtSlot>;

// ---------------------------------------------------------------- answers

struct Welcome {
  std::uint32_t version = kProtocolVersion;
  std::uint32_t server_version_num = 0;
  std::uint32_t block_bytes = 0;
  std::uint32_t segment_blocks = 0;  ///< of one file of a relation, its last file aside
  std::uint64_t wal_segment_bytes = 0;
  bool has_page_checksums = false;
  bool is_standby = false;
  bool operator==(const Welcome&) const = default;
};
struct SignedCertificate {
  std::string certificate_pem;
  std::string ca_pem;
  bool operator==(const SignedCertificate&) const = default;
};
struct Tablespace {
  std::uint32_t oid = 0;
  std::string location;  ///< absolute
  bool operator==(const Tablespace&) const = default;
};
struct BackupBegun {
  BackupId id;
  pg::Lsn start;
  pg::TimelineId timeline;
  std::vector<Tablespace> tablespaces{};  ///< by ascending oid
  bool operator==(const BackupBegun&) const = default;
};
struct Attached {
  bool operator==(const Attached&) const = default;
};
enum class EntryKind : std::uint8_t { kFile = 0, kFolder = 1 };
struct FileEntry {
  std::uint32_t number = 0;
  EntryKind kind = EntryKind::kFile;
  std::uint32_t tablespace_oid = 0;  ///< 0: below the data directory
  std::uint32_t mode = 0;            ///< at most kMaxMode
  std::uint64_t size_bytes = 0;      ///< as it was when the list was made
  std::int64_t modified_unix_seconds = 0;
  std::string path;  ///< is_path_beneath()
  bool operator==(const FileEntry&) const = default;
};
struct FileEntries {
  /// By ascending number, which goes on in the next answer; only the last may have none.
  std::vector<FileEntry> entries{};
  bool is_last = false;
  bool operator==(const FileEntries&) const = default;
};
/// Fewer bytes than were asked for: the file ends there now. `is_gone`: there is no such file any more.
struct RangeBytes {
  bool is_gone = false;
  Compression compression = Compression::kNone;
  std::uint32_t plain_bytes = 0;  ///< of `bytes`, unpacked
  /// What the agent's side of this connection has used of a CPU, and how long it has waited for room to send,
  /// since its last answer with bytes: for whoever chooses the packing.
  std::uint32_t cpu_microseconds = 0;
  std::uint32_t waited_microseconds = 0;
  base::Bytes bytes{};  ///< fewer than that where they are packed
};
struct RangeHashes {
  bool is_gone = false;
  std::uint64_t covered_bytes = 0;  ///< less than was asked for: the file ends there now
  std::vector<base::Hash128> hashes{};
  bool operator==(const RangeHashes&) const = default;
};
struct BackupEnded {
  pg::Lsn stop;
  pg::TimelineId timeline;
  std::string label_file;
  std::string tablespace_map;
  std::vector<Tablespace> tablespaces{};  ///< that there are then, by ascending oid
  bool operator==(const BackupEnded&) const = default;
};
/// In place of any answer. The connection goes on unless the agent closes it.
struct Refused {
  base::ErrorCode code = base::ErrorCode::kFailed;
  std::string message;
  std::string hint;
  bool operator==(const Refused&) const = default;
};
/// A CRL of the cluster's authority (certificate_authority.h), by which whoever gets it judges it.
struct RevokedCertificates {
  std::string list_pem;  ///< empty: the agent has none
  bool operator==(const RevokedCertificates&) const = default;
};

/// pg_replication_slots.wal_status; a server before 13 has none, and no bound.
enum class SlotStanding : std::uint8_t { kMissing = 0, kReserved = 1, kUnreserved = 2, kLost = 3 };
struct SlotState {
  SlotStanding standing = SlotStanding::kMissing;
  std::uint64_t held_bytes = 0;   ///< of WAL, from its restart_lsn on
  std::uint64_t bound_bytes = 0;  ///< max_slot_wal_keep_size; 0: none
  bool operator==(const SlotState&) const = default;
};

/// Their numbers in the protocol count from 0x81 in this order.
using Answer = std::variant<Welcome, SignedCertificate, BackupBegun, Attached, FileEntries, RangeBytes,
                            RangeHashes, BackupEnded, Refused, RevokedCertificates, SlotState>;

// ---------------------------------------------------------------- what they may say

/// Whether it stays below the folder that it is relative to, as far as a name can tell (links are the
/// reader's concern): not empty, at most kMaxPathBytes, no NUL, no part that is empty, "." or "..".
bool is_path_beneath(std::string_view path);
/// The runs of a range, the last of which may be shorter.
constexpr std::uint64_t runs_of(std::uint64_t length_bytes, std::uint32_t run_bytes) {
  return length_bytes / run_bytes + (length_bytes % run_bytes == 0 ? 0 : 1);
}

base::Result<void> check(const Request& request);
base::Result<void> check(const Answer& answer);
/// Whether what came is an answer to what was asked: no more than that, and packed no other way.
base::Result<void> check_fits(const ReadRange& asked, const RangeBytes& answer);
base::Result<void> check_fits(const HashRange& asked, const RangeHashes& answer);

/// Made fit for the wire: lines of UTF-8 without control characters, cut to kMaxTextBytes.
Refused refusal_of(const base::Error& error);
/// Of an answer that is not the one that was waited for: what a Refused says, or kProtocol.
base::Error error_of(const Answer& answer);
template <typename Wanted>
base::Result<Wanted> expect(Answer answer) {
  if (auto* wanted = std::get_if<Wanted>(&answer)) return std::move(*wanted);
  return error_of(answer);
}

// ---------------------------------------------------------------- bytes

/// Those of a SignRequest hold its secret.
std::string encode(const Request& request);
std::string encode(const Answer& answer);

/// A RangeBytes message is its front and then the bytes themselves, so that they can be sent from where they
/// lie, or be read to behind the room for the front.
constexpr std::size_t kRangeFrontBytes = kMessageHeaderBytes + 14;
std::array<std::byte, kRangeFrontBytes> encode_front(const RangeBytes& answer);

enum class Speaker : std::uint8_t {
  kStranger,  ///< a client that has shown no certificate: may say Hello and SignRequest
  kMember,    ///< a client that has
  kAgent,
};
/// How long the message is that these bytes begin with, its header counted; no value: more are needed.
base::Result<std::optional<std::size_t>> message_bytes(base::Bytes front, Speaker speaker);
/// The most that it is for a speaker: what a buffer needs.
std::size_t max_message_bytes(Speaker speaker);
/// A whole message.
base::Result<Request> parse_request(base::Bytes message);
base::Result<Answer> parse_answer(base::Bytes message);

}  // namespace standfast::agent
