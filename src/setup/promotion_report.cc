#include "setup/promotion_report.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "pg/format/timeline_history.h"

namespace standfast::setup {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::uint64_t kMaxHistoryBytes = 1U << 20U;

/// As `primary setup --witness` takes it.
std::string address_of(const WitnessBefore& witness) {
  const std::string host = witness.conninfo.get("host").value_or("ADDR");
  const bool is_six = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_six ? "[" : "", host, is_six ? "]" : "",
                     witness.conninfo.get("port").value_or("PORT"));
}

}  // namespace

/// The newest history file in pg_wal is that of the timeline the server is on now.
Result<void> read_new_timeline(const server::Cluster& cluster, const SetupEnvironment& environment,
                               PromotionOutcome& outcome) {
  const std::string folder = TRY(environment.files.real_path(cluster.data_directory() + "/pg_wal"));
  std::string newest;
  for (const std::string& name : TRY(environment.files.list(folder))) {
    if (name.size() == 16 && name.ends_with(".history")) newest = std::max(newest, name);
  }
  if (newest.empty()) return Error(ErrorCode::kProtocol, "pg_wal holds no timeline history");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(newest.data(), newest.data() + 8, number, 16);
  if (error != std::errc() || end != newest.data() + 8) {
    return Error(ErrorCode::kProtocol, fmt::format("\"{}\" in pg_wal names no timeline", newest));
  }
  outcome.timeline = pg::TimelineId(number);
  const std::string text =
      TRY(env::read_whole_file(environment.files, folder + "/" + newest, kMaxHistoryBytes));
  if (const auto history = pg::TimelineHistory::parse(*outcome.timeline, text)) {
    outcome.begins_at = history->begin_of(*outcome.timeline);
  }
  return base::ok();
}

namespace {

bool has_more(const WitnessBefore& witness) {
  const WitnessState state = witness.judgement.state;
  return witness.position && (state == WitnessState::kDiverged || state == WitnessState::kIsAhead);
}

/// The witness that has most of what the standby lacks; what came to it on the new timeline is no loss.
const WitnessBefore* furthest_witness(const PromotionOutcome& outcome) {
  const WitnessBefore* furthest = nullptr;
  for (const auto* list : {&outcome.witnesses, &outcome.witnesses_after}) {
    for (const WitnessBefore& witness : *list) {
      if (!has_more(witness)) continue;
      if (outcome.timeline && witness.position->timeline == *outcome.timeline) continue;
      const bool is_further =
          furthest == nullptr || witness.judgement.bytes_ahead > furthest->judgement.bytes_ahead;
      if (is_further) furthest = &witness;
    }
  }
  return furthest;
}

/// Of the primary itself, as far as it was known.
std::optional<std::uint64_t> bytes_on_primary(const PromotionOutcome& outcome) {
  const auto own = outcome.begins_at ? outcome.begins_at : outcome.standby.received;
  if (!outcome.primary.last_known || !own) return std::nullopt;
  return outcome.primary.last_known->bytes_since(*own);
}

}  // namespace

std::optional<std::uint64_t> PromotionOutcome::bytes_left_behind() const {
  const auto on_primary = bytes_on_primary(*this);
  const WitnessBefore* witness = furthest_witness(*this);
  if (witness == nullptr) return on_primary;
  return std::max(on_primary.value_or(0), witness->judgement.bytes_ahead);
}

Remark describe_gap(const PromotionOutcome& outcome) {
  const auto on_primary = bytes_on_primary(outcome);
  const WitnessBefore* witness = furthest_witness(outcome);
  if (witness != nullptr && witness->judgement.bytes_ahead > on_primary.value_or(0)) {
    return {fmt::format("{} has WAL up to {}: {} bytes of it stay behind", witness->describe(),
                        witness->position->lsn.to_string(), witness->judgement.bytes_ahead),
            "What lies beyond is only there and on the old primary: keep both until you know that nothing in "
            "it is missed."};
  }
  const std::string keep =
      "What lies beyond is only on the old primary: keep its data directory until you know that nothing in "
      "it is missed.";
  if (!on_primary) {
    return {
        fmt::format("nothing is known of what the primary wrote after {}, the last that was received from it",
                    lsn_text(outcome.standby.received ? outcome.standby.received : outcome.begins_at)),
        keep};
  }
  const std::string known =
      fmt::format("the primary was last known at {}{}", lsn_text(outcome.primary.last_known),
                  outcome.primary.was_asked ? "" : ", as it had told this standby");
  if (*on_primary > 0) return {fmt::format("{}: {} bytes of its WAL stay behind", known, *on_primary), keep};
  if (outcome.not_safe_because) return {known + ": more may stay behind, as was accepted", keep};
  return {known + ": nothing known of it stays behind", ""};
}

std::vector<Remark> remarks_on_witnesses(const PromotionOutcome& outcome) {
  std::vector<Remark> remarks;
  const WitnessBefore* moving = one_that_moved(outcome.witnesses, outcome.witnesses_after);
  for (const WitnessBefore& witness : outcome.witnesses_after) {
    if (!has_more(witness)) continue;
    const bool is_moving = moving != nullptr && moving->describe() == witness.describe();
    remarks.push_back({fmt::format("{} has WAL up to {}, beyond where the new timeline begins{}",
                                   witness.describe(), witness.position->lsn.to_string(),
                                   is_moving ? ", and goes on getting it: the old primary lives" : ""),
                       fmt::format("{}Keep what it has until you know that nothing in it is missed.",
                                   is_moving ? "Stop the old primary now. " : "")});
  }
  return remarks;
}

std::vector<Remark> remarks_on_commits(const PromotionOutcome& outcome, const std::string& data_directory) {
  std::vector<Remark> remarks;
  if (outcome.commits_stand_still) {
    remarks.push_back(
        {fmt::format("every commit here stands still: it waits for {}, and too few of them stream from here",
                     outcome.synchronous_standby_names),
         fmt::format("Let them go on: standfast sync disable -D {}", data_directory)});
  }
  for (const WitnessBefore& witness : outcome.witnesses) {
    if (witness.name.empty() || witness.judgement.state == WitnessState::kGivenUp) continue;
    remarks.push_back(
        {fmt::format(
             "next for witness \"{0}\": \"standfast primary setup -D {1} --witness {2}={0}\" here, lead it "
             "to this host, and when it streams \"standfast sync enable {0} -D {1}\"",
             witness.name, data_directory, address_of(witness)),
         ""});
  }
  if (outcome.synchronous_standby_names.empty() && !remarks.empty())
    remarks.push_back({"until then commits here wait for nobody", ""});
  return remarks;
}

void report_promotion(const std::string& data_directory, const SetupEnvironment& environment,
                      const PromotionOutcome& outcome) {
  base::Reporter& reporter = environment.reporter;
  const auto say = [&](const Remark& remark) {
    remark.hint.empty() ? reporter.info(remark.line) : reporter.warn(remark.line, remark.hint);
  };
  reporter.info(fmt::format("it is a primary now, after {}: {} begins at {}",
                            base::format_duration(outcome.elapsed), timeline_text(outcome.timeline),
                            lsn_text(outcome.begins_at)));
  for (const Remark& remark : remarks_on_witnesses(outcome)) say(remark);
  say(describe_gap(outcome));
  reporter.info(
      "next: lead the clients here; never start the old primary as one again; \"standfast primary setup\" "
      "here and \"standfast join\" there make it a standby of this server");
  for (const Remark& remark : remarks_on_commits(outcome, data_directory)) say(remark);
}

}  // namespace standfast::setup
