// `standfast wal receive`: pg_receivewal's flags, for a folder that can be trusted with a commit.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/login_arguments.h"
#include "cli/lsn_argument.h"
#include "env/terminal.h"
#include "witness/receiver.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr base::Seconds kSlotTimeout(60);
constexpr std::int64_t kMaxStatusSeconds = 86400;

class WalReceiveCommand final : public Command {
 public:
  void declare(CLI::App& app) override {
    login_.declare(app, "Where from");
    const std::string group = "The WAL";
    app.add_option("-D,--directory", options_.folder, "folder to keep the WAL in; it exists")
        ->type_name("DIR")
        ->group(group);
    app.add_option("-E,--endpos", endpos_, "receive up to this LSN, then end")
        ->type_name("LSN")
        ->group(group);
    app.add_flag("--synchronous", synchronous_, "make WAL durable, and report it, as soon as it is here")
        ->group(group);
    app.add_option("-s,--status-interval", status_seconds_,
                   "seconds between reports to the server; 0: only when asked")
        ->type_name("SECONDS")
        ->group(group)
        ->capture_default_str();
    app.add_flag("-n,--no-loop", no_loop_, "end when the connection is lost")->group(group);
    app.add_option("--accept-fork", accept_fork_,
                   "follow a timeline that begins here although WAL behind it was acknowledged")
        ->type_name("LSN")
        ->group(group);
    app.add_option("-Z,--compress", compress_,
                   "pack finished segments: none, lz4 or zstd, with a level if wanted (zstd:3)")
        ->type_name("METHOD[:LEVEL]")
        ->group(group);
    const std::string slots = "The slot";
    app.add_option("-S,--slot", slot_, "replication slot to use")->type_name("NAME")->group(slots);
    app.add_flag("--create-slot", create_slot_, "make the slot, and end")->group(slots);
    app.add_flag("--if-not-exists", if_not_exists_, "with --create-slot: one that is there will do")
        ->group(slots);
    app.add_flag("--drop-slot", drop_slot_, "remove the slot, and end")->group(slots);
  }

  Result<void> prepare(CommandContext& context) override {
    TRY(check_combination());
    options_.end = TRY(parse_lsn_argument("--endpos", endpos_));
    options_.accept_fork = TRY(parse_lsn_argument("--accept-fork", accept_fork_));
    if (!compress_.empty()) options_.packing = TRY(store::parse_packing(compress_));
    if (status_seconds_ < 0 || status_seconds_ > kMaxStatusSeconds) {
      return Error(ErrorCode::kUsage, fmt::format("-s must be between 0 and {}", kMaxStatusSeconds),
                   "Leave it out for 10 seconds.");
    }
    options_.status_interval = base::Seconds(status_seconds_);
    options_.flush_when = synchronous_ ? witness::FlushWhen::kAtOnce : witness::FlushWhen::kInBounds;
    options_.attempts = no_loop_ ? witness::Attempts::kOnce : witness::Attempts::kForever;
    if (!slot_.empty()) {
      options_.slot = slot_;
      // By this name the server knows it in synchronous_standby_names, unless another one is given.
      options_.connect.set("fallback_application_name", slot_);
    }
    return login_.prepare(context, options_.connect);
  }

  Result<int> run(CommandContext& context) override {
    TRY(login_.attempt(context, options_.connect, [&] { return attempt(context); }));
    return 0;
  }

 private:
  Result<void> check_combination() const {
    if (create_slot_ && drop_slot_) {
      return Error(ErrorCode::kUsage, "--create-slot and --drop-slot contradict each other",
                   "Leave one of them out.");
    }
    if ((create_slot_ || drop_slot_) && slot_.empty()) {
      return Error(ErrorCode::kUsage,
                   fmt::format("{} needs a slot", create_slot_ ? "--create-slot" : "--drop-slot"),
                   "Name it with -S.");
    }
    if (if_not_exists_ && !create_slot_) {
      return Error(ErrorCode::kUsage, "--if-not-exists goes with --create-slot", "Leave it out.");
    }
    if (options_.folder.empty() && !create_slot_ && !drop_slot_) {
      return Error(ErrorCode::kUsage, "no folder for the WAL was given", "Name an existing one with -D.");
    }
    return base::ok();
  }

  Result<void> attempt(CommandContext& context) {
    if (create_slot_ || drop_slot_) return change_slot(context);
    witness::Receiver receiver(context.files, context.reporter, context.stop, options_);
    const auto outcome = TRY(receiver.run());
    const store::Positions& positions = outcome.positions;
    context.output.text(fmt::format("timeline {}: received up to {}, acknowledged up to {}\n",
                                    positions.timeline.value(), positions.written.to_string(),
                                    positions.acknowledged.to_string()));
    context.output.json({{"timeline", positions.timeline.value()},
                         {"received", positions.written.to_string()},
                         {"acknowledged", positions.acknowledged.to_string()},
                         {"reached_end", outcome.reached_end}});
    return base::ok();
  }

  Result<void> change_slot(CommandContext& context) const {
    const auto wait = env::Wait::for_at_most(kSlotTimeout, &context.stop);
    auto connection = TRY(client::ReplicationConnection::open(options_.connect, wait));
    if (drop_slot_) {
      context.reporter.detail(fmt::format("dropping replication slot \"{}\"", slot_));
      return connection.drop_slot(slot_, wait);
    }
    context.reporter.detail(fmt::format("creating replication slot \"{}\"", slot_));
    const auto created = connection.create_physical_slot({.name = slot_}, wait);
    constexpr std::string_view kDuplicateObject = "42710";
    if (!created && if_not_exists_ && created.error().sqlstate == kDuplicateObject) return base::ok();
    return created;
  }

  witness::ReceiverOptions options_;
  LoginArguments login_;
  std::string endpos_, accept_fork_, slot_, compress_;
  std::int64_t status_seconds_ = 10;
  bool synchronous_ = false;
  bool no_loop_ = false;
  bool create_slot_ = false;
  bool if_not_exists_ = false;
  bool drop_slot_ = false;
};

}  // namespace

std::unique_ptr<Command> make_wal_receive_command() {
  return std::make_unique<WalReceiveCommand>();
}

}  // namespace standfast::cli
