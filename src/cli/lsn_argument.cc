#include "cli/lsn_argument.h"

#include <fmt/format.h>

namespace standfast::cli {

base::Result<std::optional<pg::Lsn>> parse_lsn_argument(std::string_view option, const std::string& text) {
  if (text.empty()) return std::optional<pg::Lsn>();
  const auto lsn = pg::Lsn::parse(text);
  if (lsn) return lsn;
  return base::Error(base::ErrorCode::kUsage, fmt::format("{} \"{}\" is not an LSN", option, text),
                     "Write it as PostgreSQL does: 16/B374D848.");
}

}  // namespace standfast::cli
