// The copy messages of BASE_BACKUP, of both protocols, as one sequence of events (backup/basebackup_copy.c;
// replication/basebackup.c until 14).
//
//   until 14   one COPY for each tablespace, in the order of the result rows, then, from 13, one for the
//              manifest; the messages are bare bytes
//   15 and on  a single COPY whose messages have a type: 'n' a new archive, 'm' the manifest begins, 'd'
//   bytes
//              of either, 'p' progress
//
// Threading: one thread. Ownership: borrows its handler.
// Invariants: the handler gets begin_archive(), archive_bytes()..., end_archive() once for each tablespace,
// in any order, then begin_manifest(), manifest_bytes()... at most once. No event is given twice. Fails:
// kProtocol for anything else, and whatever the handler fails with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace standfast::pg {

/// A row of BASE_BACKUP's second result. The data directory itself is the one without an oid.
struct BackupTablespace {
  std::optional<std::uint32_t> oid;
  std::string location;                     ///< on the server; relative for an in-place tablespace
  std::optional<std::uint64_t> size_bytes;  ///< an estimate, if PROGRESS was asked for
};

enum class BackupProtocol : std::uint8_t { kCopyPerArchive, kTypedMessages };
enum class ManifestExpected : std::uint8_t { kNo, kYes };

class BackupHandler {
 public:
  virtual ~BackupHandler() = default;
  virtual base::Result<void> begin_archive(const BackupTablespace& tablespace) = 0;
  virtual base::Result<void> archive_bytes(base::Bytes bytes) = 0;
  virtual base::Result<void> end_archive() = 0;
  virtual base::Result<void> begin_manifest() = 0;
  virtual base::Result<void> manifest_bytes(base::Bytes bytes) = 0;
};

class BackupStream {
 public:
  struct Options {
    BackupProtocol protocol = BackupProtocol::kTypedMessages;
    ManifestExpected manifest = ManifestExpected::kYes;
    std::vector<BackupTablespace> tablespaces = {};
  };
  BackupStream(Options options, BackupHandler& handler);

  /// How many COPYs the server will send.
  std::size_t copy_count() const;

  base::Result<void> begin_copy();
  base::Result<void> message(base::Bytes message);
  base::Result<void> end_copy();
  /// All COPYs are over: everything that was announced must have come.
  base::Result<void> finish();

 private:
  enum class State : std::uint8_t { kBetween, kBeforeArchive, kArchive, kManifest };
  base::Result<void> typed_message(base::Bytes message);
  base::Result<void> new_archive(base::Bytes content);
  base::Result<void> begin_archive(std::size_t index);
  base::Result<void> begin_manifest();
  base::Result<void> end_archive_if_open();
  base::Result<void> content(base::Bytes bytes);

  Options options_;
  BackupHandler& handler_;
  State state_ = State::kBetween;
  std::vector<bool> seen_;  ///< by index of the tablespace
  std::size_t copies_begun_ = 0;
  bool manifest_seen_ = false;
};

}  // namespace standfast::pg
