#include "clone/new_tablespaces.h"

#include <algorithm>

#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

Result<void> look_at(const agent::Tablespace& tablespace, const SourceFacts& source, env::FileSystem& files,
                     base::Reporter& reporter) {
  const std::string made = fmt::format("tablespace {} in \"{}\" was made while the copy went on",
                                       tablespace.oid, tablespace.location);
  if (source.is_on_this_host) {
    return Error(ErrorCode::kPrecondition, made + ", and both servers of this host would use it",
                 fmt::format("Run this again with -T {}=ANOTHER/FOLDER: it goes on with what is there.",
                             tablespace.location));
  }
  const auto info = TRY(files.inspect_following(tablespace.location));
  if (info && info->kind == env::FileKind::kDirectory) {
    reporter.info(made + ": the server makes its content there from the WAL");
  } else {
    reporter.warn(made + ", and there is no such folder here",
                  "Make it, empty and of the server's user, before the server is started: it does not start "
                  "without, and makes the content from the WAL.");
  }
  return base::ok();
}

}  // namespace

Result<void> look_at_new_tablespaces(std::span<const agent::Tablespace> at_begin,
                                     std::span<const agent::Tablespace> at_end, const SourceFacts& source,
                                     env::FileSystem& files, base::Reporter& reporter) {
  for (const agent::Tablespace& tablespace : at_end) {
    const bool is_known = std::any_of(at_begin.begin(), at_begin.end(), [&](const agent::Tablespace& known) {
      return known.oid == tablespace.oid;
    });
    if (!is_known) TRY(look_at(tablespace, source, files, reporter));
  }
  return base::ok();
}

}  // namespace standfast::clone
