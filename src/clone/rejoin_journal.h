// What a rejoin has taken out of a data directory, written down in DIR/.standfast/rejoin.json before it does,
// so that a run that was killed is gone on with (docs/formats/rejoin-journal.md).
//
// Threading: one thread. Fails: kIo, kPermission, kDiskFull; kProtocol for a file that is not understood.
// Holds no secret.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::clone {

struct RejoinJournal {
  pg::SystemId system_id;
  std::string time;         ///< in the names of what is kept
  std::string wal_folder;   ///< where pg_wal is, links resolved
  bool wal_is_out = false;  ///< all that is in that folder came from the source
  /// Where those of the source's tablespaces are whose folders this or an earlier run has found fit.
  std::map<std::uint32_t, std::string> tablespaces = {};
  std::optional<std::string> created_slot = {};
  // For whoever looks at it meanwhile: how the source was reached, without a password, and the standby's
  // slot.
  std::optional<std::string> source = {};
  std::optional<std::string> slot = {};
  bool operator==(const RejoinJournal&) const = default;
};

std::string rejoin_journal_path(const std::string& data_folder);
std::string text_of(const RejoinJournal& journal);
base::Result<RejoinJournal> parse_rejoin_journal(const std::string& text);

/// No value: there is none.
base::Result<std::optional<RejoinJournal>> read_rejoin_journal(env::FileSystem& files,
                                                               const std::string& data_folder);
/// DIR/.standfast is there.
base::Result<void> write_rejoin_journal(env::FileSystem& files, const std::string& data_folder,
                                        const RejoinJournal& journal);
base::Result<void> remove_rejoin_journal(env::FileSystem& files, const std::string& data_folder);

}  // namespace standfast::clone
