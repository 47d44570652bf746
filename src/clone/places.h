// The names of what a clone makes on the disk, in one place.
//
//   beside the target (one rename puts the copy in place):
//     DIR.standfast-staging       the copy while it is made
//     DIR.standfast-clone.json    the journal; with .new at its end while its first text is written
//     DIR.standfast-lock          held while a run is at work (claim.h)
//     DIR.standfast-old-TIME      what was in DIR before
//   inside a folder that has to stay where it is (DIR itself, a disk mounted in it, a tablespace, --waldir):
//     FOLDER/.standfast/new       the entries that come into FOLDER
//     FOLDER/.standfast/old-TIME  those that were there before
//     DIR/.standfast/clone.json   the journal, where DIR is such a folder
//     DIR/.standfast/lock         the lock, where DIR is such a folder
//
// PostgreSQL minds none of them: it looks at nothing in its folders that it did not name itself.
//
// Pure. Threading: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace standfast::clone {

enum class Placing : std::uint8_t { kBeside, kInside };

/// The folder that holds all that a clone puts into a folder that stays.
inline constexpr std::string_view kInnerName = ".standfast";
std::string inner_folder_of(const std::string& folder);
std::string inner_new_of(const std::string& folder);
std::string inner_old_of(const std::string& folder, const std::string& time);

std::string staging_path_of(const std::string& target, Placing placing);
std::string journal_path_of(const std::string& target, Placing placing);
std::string lock_path_of(const std::string& target, Placing placing);
std::string old_path_of(const std::string& target, Placing placing, const std::string& time);

/// A folder that only a clone makes, by its name.
bool is_staging_path(const std::string& path);
/// What old_path_of() gives, for some time.
bool is_old_path_of(const std::string& target, const std::string& path);
/// A single name, which leads out of no folder.
bool is_entry_name(std::string_view name);

/// "20260131T120000", in UTC.
std::string time_for_name();
/// "2026-01-31 12:00:00 UTC" of it; anything else as it is.
std::string describe_time_in_name(const std::string& time);

}  // namespace standfast::clone
