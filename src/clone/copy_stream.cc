#include "clone/copy_stream.h"

#include <algorithm>

#include "pg/format/backup_files.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

Result<pg::ControlFile> read_control_file(CopyStream& stream, std::span<const agent::FileEntry> entries) {
  const auto found = std::find_if(entries.begin(), entries.end(), [](const agent::FileEntry& entry) {
    return entry.tablespace_oid == 0 && entry.kind == agent::EntryKind::kFile &&
           entry.path == pg::kControlFilePath;
  });
  if (found == entries.end())
    return Error(ErrorCode::kProtocol, "the agent's list of files has no pg_control");
  const agent::FileRange all{0, pg::kControlFileBytes};
  TRY(stream.ask_bytes(found->number, all));
  const CopyStream::Bytes got = TRY(stream.take_bytes());
  if (got.is_gone) return Error(ErrorCode::kProtocol, "the agent has no pg_control any more");
  return pg::parse_control_file(got.plain);
}

}  // namespace standfast::clone
