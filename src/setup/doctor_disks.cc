// Judging folders, the disks below them, and what earlier runs left.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/time.h"
#include "setup/doctor_findings.h"

namespace standfast::setup {
namespace {

constexpr std::uint64_t kTight = 10;  ///< a tenth of the disk, as of what must be free
constexpr std::uint64_t kFull = 100;  ///< a hundredth
constexpr std::uint64_t kAmpleBytes = std::uint64_t{20} << 30U;  ///< of a huge disk a tenth is not asked

/// What is stored on other hosts, or not at all.
bool is_over_the_network(std::string_view file_system) {
  constexpr auto kKinds =
      std::to_array<std::string_view>({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"});
  return std::find(kKinds.begin(), kKinds.end(), file_system) != kKinds.end();
}

void judge_access_to(const FolderFacts& folder, Findings& findings) {
  if (folder.is_read_only) {
    findings.wrong("read_only", fmt::format("the {} ({}) is mounted read-only", folder.what, folder.path),
                   "the server cannot write",
                   "See the kernel's log (dmesg) for why, and mount it read-write.");
  }
  if (!folder.file.is_ours) {
    findings.wrong("owner", fmt::format("the {} ({}) belongs to another user", folder.what, folder.path),
                   "the server cannot work there", "Give it to the server's user.");
  }
  if ((folder.file.mode & 027U) != 0 && folder.what == "data directory") {
    findings.wrong("permissions", fmt::format("the data directory has mode {:o}", folder.file.mode),
                   "others can read or write it, and the server does not start",
                   fmt::format("Run: chmod 700 {}", folder.path));
  } else if ((folder.file.mode & 022U) != 0) {
    findings.risk("permissions",
                  fmt::format("the {} ({}) has mode {:o}", folder.what, folder.path, folder.file.mode),
                  "others can write there", fmt::format("Run: chmod 700 {}", folder.path));
  }
}

void judge_place(const FolderFacts& folder, Findings& findings) {
  if (folder.file_system == "tmpfs" || folder.file_system == "ramfs") {
    findings.risk(
        "file_system",
        fmt::format("the {} ({}) lies in memory ({})", folder.what, folder.path, folder.file_system),
        "it is gone when the host stops", "Keep it on a disk, unless this is a trial.");
  } else if (is_over_the_network(folder.file_system)) {
    findings.risk(
        "file_system",
        fmt::format("the {} ({}) lies on another host ({})", folder.what, folder.path, folder.file_system),
        "what is fsynced there may not be kept, and the server waits when the network does",
        "Keep it on a disk of this host, or make sure of how it is mounted (hard, sync).");
  }
  if (folder.what == "data directory" && folder.is_mount_point) {
    findings.well("mount_point", fmt::format("{} is a mount point: a copy is staged inside it", folder.path));
  } else if (folder.what == "data directory" && !folder.parent_is_writable) {
    findings.well(
        "parent",
        "the folder above the data directory is not the server's to write to: a copy is staged inside it");
  }
}

void judge_room(const FolderFacts& folder, Findings& findings) {
  if (folder.total_bytes == 0) return;
  const std::string what =
      fmt::format("{} of {} are free for the {} ({})", base::format_bytes(folder.available_bytes),
                  base::format_bytes(folder.total_bytes), folder.what, folder.path);
  const char* why = "when the disk is full, the server stops";
  if (folder.available_bytes < folder.total_bytes / kFull) {
    findings.wrong("room", what, why, "Make room, or give it a larger disk.");
  } else if (folder.available_bytes < folder.total_bytes / kTight && folder.available_bytes < kAmpleBytes) {
    findings.risk("room", what, why, "Make room, or give it a larger disk.");
  } else {
    findings.well("room", what);
  }
}

/// Slots may keep more than the disk has.
void judge_wal_room(const DataDirectoryFacts& facts, const FolderFacts& wal, Findings& findings) {
  const ServerFacts* server = replication_of(facts);
  if (server == nullptr) return;
  std::uint64_t held = 0;
  for (const Slot& slot : server->slots) {
    if (slot.restart_lsn) held = std::max(held, server->head.bytes_since(*slot.restart_lsn));
  }
  if (held > wal.available_bytes) {
    findings.risk("wal_room",
                  fmt::format("slots hold {} of WAL, and {} are free", base::format_bytes(held),
                              base::format_bytes(wal.available_bytes)),
                  "as much again fills the disk",
                  "See which slot is not in use, and set max_slot_wal_keep_size.");
  }
}

std::string_view words_for(LeftoverKind kind) {
  switch (kind) {
    case LeftoverKind::kStaging:
      return "a copy that was not finished";
    case LeftoverKind::kJournal:
      return "the journal of a copy that was not finished";
    case LeftoverKind::kOldDirectory:
      return "what was there before a copy was put in place";
    case LeftoverKind::kDatedCopy:
      return "a copy of pg_hba.conf before a change";
    case LeftoverKind::kTemporary:
      return "a file that was being written";
  }
  return "";
}

}  // namespace

void judge_folders(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "disks");
  for (const FolderFacts& folder : facts.folders) {
    if (!folder.problem.empty()) {
      findings.wrong("folder", fmt::format("the {} ({}): {}", folder.what, folder.path, folder.problem),
                     "the server cannot work without it",
                     "See whether a disk is not mounted, or a link of the data directory leads nowhere.");
      continue;
    }
    judge_access_to(folder, findings);
    judge_place(folder, findings);
    judge_room(folder, findings);
    if (folder.what == "WAL") judge_wal_room(facts, folder, findings);
  }
}

void judge_leftovers(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into) {
  Findings findings(into, "leftovers");
  if (!facts.leftovers) {
    findings.unknown("leftovers", "what earlier runs left", facts.leftovers.why_not);
    return;
  }
  for (const Leftover& leftover : *facts.leftovers) {
    const std::string what = fmt::format("{}: {}", leftover.path, words_for(leftover.kind));
    switch (leftover.kind) {
      case LeftoverKind::kStaging:
      case LeftoverKind::kJournal:
        findings.risk("unfinished_copy", what, "it takes room, and the cluster may be between two states",
                      "Run the same \"standfast join\" or \"standfast standby clone\" again: it finishes or "
                      "undoes it.");
        break;
      case LeftoverKind::kOldDirectory:
        findings.risk("old_directory", what, "it takes room", "Remove it when it is not needed any more.");
        break;
      case LeftoverKind::kDatedCopy:
        findings.well("dated_copy", what);
        break;
      case LeftoverKind::kTemporary:
        findings.risk("temporary_file", what, "a run was killed there", "Remove it when no standfast runs.");
        break;
    }
  }
  if (facts.leftovers->empty()) findings.well("leftovers", "earlier runs left nothing");
}

}  // namespace standfast::setup
