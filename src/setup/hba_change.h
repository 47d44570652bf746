// A change of pg_hba.conf that is either proved and kept, or taken back whole.
//
//   put(text)    a dated copy of it (once), the new file in place of the old, checked by the server
//                before it loads it, loaded, and a new login of the administrator's own
//   keep()       from here on it stays
//   take_back()  the bytes that were there before, loaded again; the destructor does it if nobody else did
//
// Threading: one thread. Ownership: borrows the FileSystem and the HbaServer, which outlive it.
// Invariants: owner, group and mode of the file stay; the file is never half written, but where it can only
// be written in place (file_access.h), and then never before the copy is on the disk; whoever changed it
// since it was read is not overwritten. Fails with: kInUse (it was changed meanwhile), kPrecondition (the
// server cannot read the new text), kPermission, kIo, kDiskFull, and what reload() fails with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "setup/file_access.h"

namespace standfast::setup {

/// A line that the server cannot read, as pg_hba_file_rules tells it of the file on the disk.
struct HbaError {
  std::size_t line_number = 0;
  std::string message;
  std::string file = {};  ///< where it is not the file that hba_file names
};

/// The line as a person looks for it: `line 12: invalid authentication method "md6"`.
std::string describe(const HbaError& error);

/// Ctrl-C ends a change, never the taking back of one.
enum class Interruption : std::uint8_t { kAllowed, kIgnored };

/// What a change needs of the server.
class HbaServer {
 public:
  virtual ~HbaServer() = default;
  /// Of the file as it lies on the disk now, loaded or not.
  virtual base::Result<std::vector<HbaError>> errors_of_file() = 0;
  /// Makes the server load the file; back when a new connection of the administrator's, by the rules just
  /// loaded, has succeeded.
  virtual base::Result<void> reload(Interruption interruption) = 0;
};

enum class DatedCopy : std::uint8_t { kMake, kNone };

class HbaChange {
 public:
  /// `path` is the file itself, no link to it; `original` is its text as it was read.
  HbaChange(env::FileSystem& files, HbaServer& server, std::string path, std::string original,
            FileAccess access);
  ~HbaChange();
  HbaChange(const HbaChange&) = delete;
  HbaChange& operator=(const HbaChange&) = delete;

  /// On an error the caller ends with take_back_after().
  base::Result<void> put(const std::string& text, DatedCopy copy);
  void keep();
  /// Nothing was put, or it was kept: nothing to do.
  base::Result<void> take_back();
  /// Takes back, and says so in the error, or says what to do by hand if that fails too.
  base::Error take_back_after(base::Error cause);

  const std::optional<std::string>& copy_path() const { return copy_path_; }

 private:
  base::Result<void> write(const std::string& text);
  base::Result<void> replace(const std::string& text, const env::FileInfo& info);
  base::Result<void> write_in_place(const std::string& text);
  base::Result<void> check_room(const std::string& text);
  base::Result<void> make_copy(const env::FileInfo& info);
  void forget_copy();

  env::FileSystem* files_;
  HbaServer* server_;
  std::string path_;
  FileAccess access_;
  std::string current_;                  ///< what lies in the file by our knowledge
  std::optional<std::string> original_;  ///< none once kept
  bool changed_ = false;
  bool broken_ = false;  ///< it holds neither the one text nor the other
  std::optional<std::string> copy_path_;
};

}  // namespace standfast::setup
