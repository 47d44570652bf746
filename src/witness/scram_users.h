// Who may log in: a file of verifiers, one line for each role, as pg_authid holds them:
//     replicator:SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>
// Empty lines and lines that begin with # are passed over (docs/formats/wal-users.md).
//
// Threading: parse() is pure, read() touches the file; a value is read by any thread. Ownership: owns its
// verifiers. Fails: kPermission for a file that others than its owner may read or write; kProtocol for a line
// that is not understood, which no error quotes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "env/file_system.h"
#include "pg/client/scram_verifier.h"

namespace standfast::witness {

class ScramUsers {
 public:
  /// `name` is what errors call the text.
  static base::Result<ScramUsers> parse(std::string_view text, const std::string& name);
  static base::Result<ScramUsers> read(env::FileSystem& files, const std::string& path);

  /// Null for somebody who is not in it.
  const client::ScramVerifier* find(std::string_view role) const;
  std::size_t size() const { return verifiers_.size(); }
  /// What a login of somebody unknown is to look like.
  std::uint32_t usual_iterations() const;

 private:
  std::map<std::string, client::ScramVerifier, std::less<>> verifiers_;
};

}  // namespace standfast::witness
