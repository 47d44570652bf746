#include "setup/pairing.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace standfast::setup {
namespace {

using OldMultixids = pg::Version::OldMultixids;

class Judge {
 public:
  Judge(const PairingSide& source, const PairingSide& host) : source_(source), host_(host) {}

  std::vector<PairingFinding> run() {
    judge_major();
    judge_machine();
    judge_build();
    if (source_.version.major() == host_.version.major()) {
      judge_multixids();
      judge_minor();
    }
    for (PairingFinding& finding : judge_collations(source_.collations, host_.collations))
      found_.push_back(std::move(finding));
    std::stable_sort(
        found_.begin(), found_.end(),
        [](const PairingFinding& one, const PairingFinding& other) { return one.severity < other.severity; });
    return std::move(found_);
  }

 private:
  void add(PairingSeverity severity, std::string message, std::string hint) {
    found_.push_back({severity, std::move(message), std::move(hint)});
  }

  std::string_view source_word() const { return source_.in_recovery ? "standby above" : "primary"; }

  void judge_major() {
    if (source_.version.major() == host_.version.major()) return;
    add(PairingSeverity::kRefuse,
        fmt::format("the {} runs PostgreSQL {}, the programs on this host are of {}", source_word(),
                    source_.version.to_string(), host_.version.to_string()),
        fmt::format(
            "A standby needs the primary's major version: install PostgreSQL {}, or name its programs "
            "with --pg-bin.",
            source_.version.major()));
  }

  void judge_machine() {
    if (source_.machine.empty() || host_.machine.empty() || source_.machine == host_.machine) return;
    add(PairingSeverity::kRefuse,
        fmt::format("the {} runs on {}, this host is {}", source_word(), source_.machine, host_.machine),
        "Streaming replication needs the same architecture on both sides.");
  }

  void judge_build() {
    const auto compare = [this](std::string_view what, const auto& source, const auto& host) {
      if (!source || !host || *source == *host) return;
      add(PairingSeverity::kRefuse,
          fmt::format("the {} was compiled with {} {}, the programs on this host with {}", source_word(),
                      what, *source, *host),
          "Install programs here that were compiled as the primary's were, or name them with --pg-bin.");
    };
    compare("a page size of", source_.build.block_bytes, host_.build.block_bytes);
    compare("a WAL page size of", source_.build.wal_block_bytes, host_.build.wal_block_bytes);
    compare("a segment size in pages of", source_.build.segment_blocks, host_.build.segment_blocks);
    compare("float8 passed by value", source_.build.float8_by_value, host_.build.float8_by_value);
  }

  // ---------------------------------------------------------------- minor releases

  void judge_multixids() {
    const OldMultixids replay = host_.version.replay_of_old_multixids();
    if (replay == OldMultixids::kUnderstood) return;
    if (!source_.in_recovery && !source_.version.writes_old_multixids()) return;
    const std::string writer =
        source_.in_recovery
            ? fmt::format("WAL of a primary below {}", host_.version.first_with_new_multixids().to_string())
            : fmt::format("the WAL of PostgreSQL {}", source_.version.to_string());
    const std::string hint =
        fmt::format("Update PostgreSQL on this host to {} or later, or the primary to {} or later.",
                    host_.version.first_sound_with_old_multixids().to_string(),
                    host_.version.first_with_new_multixids().to_string());
    if (replay == OldMultixids::kDeadlock) {
      // Which release writes the WAL that comes through a standby is not known, so that is no refusal.
      add(source_.in_recovery ? PairingSeverity::kWarn : PairingSeverity::kRefuse,
          fmt::format("PostgreSQL {} on this host can deadlock with itself when it replays {} (multixids)",
                      host_.version.to_string(), writer),
          hint);
      return;
    }
    add(PairingSeverity::kWarn,
        fmt::format(
            "PostgreSQL {} on this host can fail to replay {} (multixids, \"could not access status of "
            "transaction\", {})",
            host_.version.to_string(), writer,
            replay == OldMultixids::kMayFailAfterTruncation ? "after a truncation of them"
                                                            : "where replay begins at a page of them"),
        hint);
  }

  void judge_minor() {
    if (host_.version >= source_.version) return;
    add(PairingSeverity::kWarn,
        fmt::format("the programs on this host are of PostgreSQL {}, older than the {}'s {}",
                    host_.version.to_string(), source_word(), source_.version.to_string()),
        "Update this host: a minor release is made to replay the WAL of older ones, not of newer ones.");
  }

  const PairingSide& source_;
  const PairingSide& host_;
  std::vector<PairingFinding> found_;
};

constexpr std::size_t kMostNamesShown = 5;

std::string some_of(const std::vector<std::string>& names) {
  const std::size_t count = std::min(names.size(), kMostNamesShown);
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(count), ", "));
  if (names.size() > count) text += fmt::format(" and {} more", names.size() - count);
  return text;
}

}  // namespace

std::vector<PairingFinding> judge_pairing(const PairingSide& source, const PairingSide& host) {
  return Judge(source, host).run();
}

std::vector<PairingFinding> judge_collations(const CollationFacts& source, const CollationFacts& host) {
  std::vector<PairingFinding> found;
  const auto compare = [&found](std::string_view library, const std::optional<std::string>& above,
                                const std::optional<std::string>& here,
                                const std::vector<std::string>& databases) {
    if (!above || !here || *above == *here) return;
    const bool by_default = !databases.empty();
    found.push_back(
        {by_default ? PairingSeverity::kWarn : PairingSeverity::kNote,
         fmt::format("the collations of {} are of version {} at the source and {} on this host: {}", library,
                     *above, *here,
                     by_default ? fmt::format("they sort the text of {}", some_of(databases))
                                : "that matters to indexes on columns that name such a collation"),
         "Indexes on text can then be wrong on the standby: searches there may miss rows, and after a "
         "promotion it is corruption. Give both hosts the same release of the operating system; or REINDEX, "
         "and ALTER DATABASE ... REFRESH COLLATION VERSION, as soon as it is promoted."});
  };
  compare("libc", source.libc, host.libc, source.libc_databases);
  compare("ICU", source.icu, host.icu, source.icu_databases);
  return found;
}

}  // namespace standfast::setup
