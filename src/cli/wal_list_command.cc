// `standfast wal list`: what WAL is in a folder, and what lacks.
#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/time.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "pg/format/wal_file.h"
#include "store/wal_listing.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using nlohmann::ordered_json;

std::string_view word_of(store::SegmentForm form) {
  switch (form) {
    case store::SegmentForm::kWhole:
      return "whole";
    case store::SegmentForm::kPartial:
      return "partial";
    case store::SegmentForm::kLz4:
      return "lz4";
    case store::SegmentForm::kZstd:
      return "zstd";
    case store::SegmentForm::kGzip:
      return "gzip";
  }
  return "";
}

class Listing {
 public:
  Listing(const store::WalListing& listing, const std::string& folder)
      : listing_(listing),
        folder_(folder),
        segment_bytes_(listing.origin ? listing.origin->segment_bytes : pg::kMinWalSegmentBytes) {}

  std::string as_text() const {
    if (listing_.timelines.empty()) return fmt::format("there is no WAL in \"{}\"\n", folder_);
    std::string text;
    if (listing_.origin) {
      text += fmt::format("WAL of system {}, in segments of {}\n", listing_.origin->system_id.to_string(),
                          base::format_bytes(segment_bytes_));
    }
    for (const store::TimelineListing& timeline : listing_.timelines) text += "\n" + as_text(timeline);
    return text;
  }

  ordered_json as_json() const {
    ordered_json json = {{"directory", folder_}};
    json["system_identifier"] =
        listing_.origin ? ordered_json(listing_.origin->system_id.to_string()) : nullptr;
    json["segment_bytes"] = listing_.origin ? ordered_json(segment_bytes_) : nullptr;
    json["timelines"] = ordered_json::array();
    for (const store::TimelineListing& timeline : listing_.timelines)
      json["timelines"].push_back(as_json(timeline));
    return json;
  }

 private:
  std::string name(pg::TimelineId timeline, pg::Lsn start) const {
    return pg::wal_segment_name(timeline, start, segment_bytes_);
  }

  std::string as_text(const store::TimelineListing& timeline) const {
    std::string text = fmt::format("timeline {}", timeline.timeline.value());
    if (timeline.began_by) {
      text += fmt::format(", from timeline {} at {}", timeline.began_by->parent.value(),
                          timeline.began_by->at.to_string());
    } else if (timeline.timeline > pg::TimelineId(1)) {
      text += timeline.has_history_file ? ", whose history makes no sense" : ", whose history is not there";
    }
    text += "\n";
    if (timeline.runs.empty()) return text + "no segments\n";
    Table table({{"first segment", Align::kLeft},
                 {"last segment", Align::kLeft},
                 {"form", Align::kLeft},
                 {"segments", Align::kRight},
                 {"size", Align::kRight}});
    for (const store::SegmentRun& run : timeline.runs) {
      table.add_row({name(timeline.timeline, run.first.start), name(timeline.timeline, run.last_start),
                     std::string(word_of(run.first.form)), fmt::format("{}", run.segments),
                     base::format_bytes(run.bytes)});
    }
    text += table.to_string();
    for (const store::SegmentRun& run : timeline.runs) {
      if (run.first.form != store::SegmentForm::kPartial) continue;
      text += run.proven_end ? fmt::format("its records end at {}\n", run.proven_end->to_string())
                             : std::string("no record of the partial segment is proven\n");
    }
    for (const store::WalGap& gap : timeline.gaps) {
      text +=
          fmt::format("lacks {} to {} ({} segments)\n", name(timeline.timeline, gap.from),
                      name(timeline.timeline, pg::Lsn(gap.to.value() - segment_bytes_)), segments_in(gap));
    }
    return text;
  }

  std::uint64_t segments_in(const store::WalGap& gap) const {
    return gap.to.bytes_since(gap.from) / segment_bytes_;
  }

  ordered_json as_json(const store::TimelineListing& timeline) const {
    ordered_json json = {{"timeline", timeline.timeline.value()},
                         {"has_history_file", timeline.has_history_file}};
    json["parent"] = timeline.began_by ? ordered_json(timeline.began_by->parent.value()) : nullptr;
    json["fork"] = timeline.began_by ? ordered_json(timeline.began_by->at.to_string()) : nullptr;
    json["runs"] = ordered_json::array();
    for (const store::SegmentRun& run : timeline.runs) {
      ordered_json of_run = {{"first", name(timeline.timeline, run.first.start)},
                             {"last", name(timeline.timeline, run.last_start)},
                             {"start", run.first.start.to_string()},
                             {"form", word_of(run.first.form)},
                             {"segments", run.segments},
                             {"bytes", run.bytes}};
      if (run.first.form == store::SegmentForm::kPartial) {
        of_run["proven_end"] = run.proven_end ? ordered_json(run.proven_end->to_string()) : nullptr;
      }
      json["runs"].push_back(std::move(of_run));
    }
    json["gaps"] = ordered_json::array();
    for (const store::WalGap& gap : timeline.gaps) {
      json["gaps"].push_back(
          {{"from", gap.from.to_string()}, {"to", gap.to.to_string()}, {"segments", segments_in(gap)}});
    }
    return json;
  }

  const store::WalListing& listing_;
  const std::string& folder_;
  const std::uint64_t segment_bytes_;
};

class WalListCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("-D,--directory", folder_, "folder that the WAL is kept in")->type_name("DIR");
  }

  Result<int> run(CommandContext& context) override {
    if (folder_.empty()) return Error(ErrorCode::kUsage, "no folder was given", "Name it with -D.");
    const store::WalListing found = TRY(store::list_wal(context.files, folder_));
    const Listing listing(found, folder_);
    context.output.text(listing.as_text());
    context.output.json(listing.as_json());
    return 0;
  }

 private:
  std::string folder_;
};

}  // namespace

std::unique_ptr<Command> make_wal_list_command() {
  return std::make_unique<WalListCommand>();
}

}  // namespace standfast::cli
