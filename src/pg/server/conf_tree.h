// postgresql.conf together with all that it includes, as a server that starts reads it.
//
// Threading: a value. Ownership: owns its text; borrows the FileSystem for the call.
// Invariant: what stands later wins, and an include stands where its line stands. Only regular files are
// read: a pipe or a device that an include names would be waited for without end.
// Root reads only what belongs to whoever owns the configuration, or is root's and may be read by him: a line
// of his must not make root read anything else. Fails: kIo and kPermission for a file that must be there and
// cannot be read, kProtocol for a line that PostgreSQL would not take, includes nested deeper than PostgreSQL
// allows, and more files than a person keeps. Follows: utils/misc/guc-file.l ParseConfigFile(),
// ParseConfigDirectory().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "env/file_system.h"
#include "env/trusted_file.h"
#include "pg/format/conf_file.h"

namespace standfast::server {

struct ConfTreeEntry {
  std::string name;
  std::string value;
  std::string file;  ///< where the line stands
  std::size_t line_number = 0;
};

class ConfTree {
 public:
  static base::Result<ConfTree> read(env::FileSystem& files, const std::string& path);
  /// Without postgresql.auto.conf, which is the data directory's; read() that one on its own.
  std::optional<std::string> get(std::string_view name) const;
  const std::vector<ConfTreeEntry>& entries() const { return entries_; }

 private:
  base::Result<void> add_file(env::FileSystem& files, const std::string& path, int depth);
  base::Result<std::string> text_of(env::FileSystem& files, const std::string& real_path) const;
  base::Result<void> add_folder(env::FileSystem& files, const std::string& path, int depth);

  std::optional<env::TrustedOwner> trusted_;  ///< none: whoever reads this may read what he may
  std::vector<ConfTreeEntry> entries_;
  std::size_t files_read_ = 0;
  std::size_t bytes_read_ = 0;
};

}  // namespace standfast::server
