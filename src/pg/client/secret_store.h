// Where passwords, tokens and pinned certificates lie: one folder of the server's user, outside every data
// directory, with a folder for each cluster in it:
//
//   <root>/<system identifier>/primary.pgpass       both roles' passwords, on the primary's host
//   <root>/<system identifier>/<slot>.token         the join token of a standby, on the primary's host
//   <root>/<system identifier>/<slot>.pgpass, .crt  what a standby logs in with, and the certificate it pins
//   <root>/<system identifier>/ca/                  the cluster's certificate authority (agent/members.h)
//   <root>/<system identifier>/member/              this host's own membership (agent/membership_files.h)
//
// Threading: one thread at a time. Ownership: borrows the FileSystem.
// Invariants: folders are 0700, files 0600; a file is replaced whole and durably; nothing is read that
// another user owns, or could have read. Fails with: kPermission, kPrecondition, kIo, kDiskFull. No error
// holds content. The rule for files is libpq's for .pgpass (fe-connect.c passwordFromFile()).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "env/file_system.h"
#include "pg/format/lsn.h"

namespace standfast::client {

/// Of one file of the store.
inline constexpr std::uint64_t kMaxSecretFileBytes = std::uint64_t{1} << 20U;

class SecretStore {
 public:
  /// $STANDFAST_HOME, else .standfast in the home folder that the effective user has by the user database,
  /// whatever HOME says (sudo may keep the caller's). Creates nothing.
  static base::Result<SecretStore> locate(env::FileSystem& files);
  SecretStore(env::FileSystem& files, std::string root);

  const std::string& root() const { return root_; }
  /// kPrecondition when the store would lie in this data directory, or in any other.
  base::Result<void> refuse_inside(const std::string& data_directory) const;
  /// `name` may have a folder before it: "ca/members.json".
  std::string path_of(pg::SystemId system_id, std::string_view name) const;

  /// kPermission when write() would fail with it. Writes nothing.
  base::Result<void> check_writable(pg::SystemId system_id) const;

  /// No value when there is no such file. kPermission for a file that others may read or that is not ours.
  base::Result<std::optional<base::Secret>> read(pg::SystemId system_id, std::string_view name) const;
  /// Where the file of that name is to lie, for whoever locks it before he writes.
  base::Result<void> make_folder_of(pg::SystemId system_id, std::string_view name) const;
  enum class Written : std::uint8_t { kNew, kReplaced, kUnchanged };
  base::Result<Written> write(pg::SystemId system_id, std::string_view name,
                              const base::Secret& content) const;
  /// Nothing to remove is fine. With its last file the cluster's folder goes; the root stays.
  base::Result<void> remove(pg::SystemId system_id, std::string_view name) const;

 private:
  env::FileSystem* files_;
  std::string root_;
};

}  // namespace standfast::client
