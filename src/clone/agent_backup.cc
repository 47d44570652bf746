#include "clone/agent_backup.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "clone/lasting_stream.h"

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr std::string_view kLabelName = "backup_label";
constexpr std::string_view kManifestName = "backup_manifest";

Result<void> write_file(env::FileSystem& files, const std::string& place, const std::string& text,
                        mode_t mode, SyncFiles sync) {
  if (TRY(files.inspect(place))) TRY(files.remove_file(place));
  auto file = TRY(files.create(place, mode, env::OnExisting::kFail));
  TRY(file->write_at(0, base::as_bytes(text)));
  if (sync == SyncFiles::kYes) TRY(file->sync());
  return file->close();
}

/// What the streams' threads have to say, until the one that may say it comes by.
class Breaks {
 public:
  LastingRules rules() {
    LastingRules rules;
    rules.on_break = [this](const Error& broke) {
      const std::lock_guard lock(mutex_);
      new_.push_back(broke.message);
    };
    return rules;
  }
  void tell(base::Reporter& reporter) {
    std::vector<std::string> lines;
    {
      const std::lock_guard lock(mutex_);
      lines.swap(new_);
    }
    for (const std::string& line : lines) {
      reporter.warn(
          fmt::format("a connection to the agent broke ({}) and another was opened: what was on its "
                      "way is fetched again",
                      line),
          "If that comes often, look at the network between the hosts.");
    }
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> new_;
};

}  // namespace

agent::ClientOptions AgentBackup::client_options() const {
  agent::ClientOptions options;
  options.context = source_.context;
  options.system_id = source_.system_id;
  if (client_) options.member = client_->peer().name;
  return options;
}

Result<std::unique_ptr<AgentBackup>> AgentBackup::connect(AgentSource source, const env::StopEvent& stop) {
  std::unique_ptr<AgentBackup> backup(new AgentBackup(std::move(source), nullptr));
  backup->client_ =
      TRY(agent::AgentClient::connect(backup->source_.address, backup->client_options(), &stop));
  backup->default_streams_ =
      default_streams(std::thread::hardware_concurrency(), backup->client_->shortest_round_trip());
  return backup;
}

Result<void> AgentBackup::begin(const agent::BeginBackup& request) {
  begun_ = TRY(client_->begin_backup(request));
  entries_ = TRY(client_->list_files());
  return base::ok();
}

std::uint64_t AgentBackup::listed_bytes(std::uint32_t tablespace) const {
  std::uint64_t bytes = 0;
  for (const agent::FileEntry& entry : entries_) {
    if (entry.tablespace_oid == tablespace) bytes += entry.size_bytes;
  }
  return bytes;
}

Result<CopyDifference> AgentBackup::compare(env::FileSystem& files, const CopyPlaces& places,
                                            base::Reporter& reporter, const env::StopEvent& stop) {
  SharedPacking packing;
  Breaks breaks;
  const OpenCopyStream open_stream =
      lasting(open_from_agent(source_.address, client_options(), begun_.id, packing), breaks.rules());
  const auto stream = TRY(open_stream(stop));
  DifferenceEnvironment environment{files, *stream, stop};
  environment.on_progress = [&](std::uint64_t done, std::uint64_t total) {
    breaks.tell(reporter);
    reporter.progress({.done_bytes = done, .total_bytes = total, .activity = "comparing"});
  };
  return find_difference(entries_, places, environment);
}

Result<void> AgentBackup::copy(env::FileSystem& files, AgentCopyOptions options, CheckPages check_pages,
                               base::Reporter& reporter, const env::StopEvent& stop) {
  if (check_pages == CheckPages::kYes && welcome().has_page_checksums) {
    options.pages = PageRules{.block_bytes = welcome().block_bytes,
                              .segment_blocks = welcome().segment_blocks,
                              .backup_start = begun_.start};
    options.run_bytes = std::max(options.run_bytes, welcome().block_bytes);
  }
  SharedPacking packing;
  Breaks breaks;
  const OpenCopyStream open_stream =
      lasting(open_from_agent(source_.address, client_options(), begun_.id, packing), breaks.rules());
  options.on_progress = [&, tell = std::move(options.on_progress)](const CopyProgress& progress) {
    breaks.tell(reporter);
    return tell ? tell(progress) : base::ok();
  };
  auto copied = copy_from_agent(entries_, options, {files, stop, open_stream});
  breaks.tell(reporter);
  if (!copied) return as_streams(std::move(copied).error());
  copy_ = *std::move(copied);
  return base::ok();
}

Error AgentBackup::as_holders(Error failure) const {
  return client_->is_broken() ? std::move(failure).with_context("the connection that holds the backup broke")
                              : failure;
}

/// Streams that find no backup any more do not know why that is; the connection that holds it may.
Error AgentBackup::as_streams(Error failure) {
  if (failure.code != ErrorCode::kPrecondition || client_->is_broken()) return failure;
  auto answered = client_->list_revoked();
  return !answered && client_->is_broken() ? as_holders(std::move(answered).error()) : failure;
}

SlotWatch AgentBackup::watch_slot(const std::string& slot, base::Reporter& reporter) {
  return {slot,
          [this](const std::string& name) -> Result<agent::SlotState> {
            auto state = client_->look_at_slot(name);
            if (state) return state;
            return as_holders(std::move(state).error());
          },
          reporter};
}

Result<void> AgentBackup::end(env::FileSystem& files, const CopyPlaces& places, SyncFiles sync) {
  auto ended = client_->end_backup();
  if (!ended) return as_holders(std::move(ended).error());
  ended_ = *std::move(ended);
  if (ended_.timeline != begun_.timeline) {
    return Error(ErrorCode::kPrecondition, "the server's timeline changed during the copy",
                 "It was promoted meanwhile. Run this again.");
  }
  const std::string label = fmt::format("{}/{}", places.data_folder, kLabelName);
  TRY(write_file(files, label, ended_.label_file, places.modes.file(), sync));
  copy_.files.push_back(TRY(copied_file(files, std::string(kLabelName), label)));
  return sync == SyncFiles::kYes ? files.sync_directory(places.data_folder) : base::ok();
}

Result<bool> AgentBackup::finish(env::FileSystem& files, const CopyPlaces& places, SyncFiles sync,
                                 const std::optional<pg::TimelineHistory>& history,
                                 const env::StopEvent& stop) {
  if (!version().has_backup_manifest()) return false;
  TRY(complete_checksums(files, copy_.files, stop));
  ManifestFacts facts;
  facts.version = version();
  facts.system_id = source_.system_id;
  facts.wal_ranges = TRY(manifest_wal_ranges({.start = begun_.start,
                                              .start_timeline = begun_.timeline,
                                              .stop = ended_.stop,
                                              .stop_timeline = ended_.timeline},
                                             history));
  const ManifestTarget target{.place = fmt::format("{}/{}", places.data_folder, kManifestName),
                              .mode = places.modes.file(),
                              .sync = sync};
  TRY(write_manifest(files, target, facts, copy_.files));
  if (sync == SyncFiles::kYes) TRY(files.sync_directory(places.data_folder));
  return true;
}

}  // namespace standfast::clone
