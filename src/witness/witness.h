// A host that has a primary's WAL and no database: it receives, keeps and serves it in one process. The
// receiver writes the store, the server hands out what the receiver has acknowledged, the keeper lets go of
// what nobody needs.
//
// It serves from its first moment on what it holds, whether its primary is there or not: that is when it is
// needed. A primary that refuses it, or whose timeline lacks what was acknowledged, ends the receiving, not
// the serving; it is said, and tried again. A disk that fails ends the process: nothing it says could be
// trusted.
//
// Threading: run_witness() is called in one thread and starts the others; the reporter is called from one at
// a time, the events from one that is not the caller's. Ownership: borrows its arguments. Fails: as
// options_of(), Receiver and Server do; until it has opened both nothing has been changed.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/reporter.h"
#include "base/result.h"
#include "env/file_system.h"
#include "env/stop_event.h"
#include "pg/format/lsn.h"
#include "store/wal_store.h"
#include "witness/config.h"

namespace standfast::witness {

/// What whoever runs it is told and asked.
struct WitnessEvents {
  /// When it serves as far as it can, and either receives or has said why it does not; again after a reload.
  std::function<void()> on_ready = {};
  /// How it stands, in a line, now and then when that has changed.
  std::function<void(const std::string& line)> on_status = {};
  std::function<void()> on_reloading = {};
  std::function<void()> on_stopping = {};
  /// The configuration as it is now. Without it only users and certificates are read again.
  std::function<base::Result<WitnessConfig>()> read_config = {};
  int reload_fd = -1;  ///< readable when all that may change while it runs is to be read again
};

struct WitnessStart {
  WitnessConfig config;
  /// Where a new timeline may leave the old one, although more was acknowledged on that.
  std::optional<pg::Lsn> accept_fork = {};
};

/// Until the stop event.
base::Result<store::Positions> run_witness(env::FileSystem& files, base::Reporter& reporter,
                                           const env::StopEvent& stop, const WitnessStart& start,
                                           const WitnessEvents& events);

}  // namespace standfast::witness
