// `standfast demo`: a primary and a hot standby on this machine, in one folder, on free ports of the
// loopback, made by the same workflows that real hosts use. Each step is timed; the pair is shown, verified,
// and taken away again.
//
// Threading: one thread. Everything it makes lies in its folder; secrets too (STANDFAST_HOME is set for this
// process). Fails with whatever the workflows fail with; then it stops and removes what it made, unless it is
// to be kept.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "setup/environment.h"
#include "setup/status.h"
#include "setup/verify.h"

namespace standfast::setup {

enum class DemoEnd : std::uint8_t {
  kStay,  ///< until the stop event, then remove
  kOnce,  ///< remove after the verification
  kKeep,  ///< leave both servers running
};

struct DemoOptions {
  std::optional<std::string> directory = {};  ///< missing or empty; else a new one in the temporary folder
  std::optional<std::string> bin_directory = {};
  DemoEnd end = DemoEnd::kStay;
};

struct DemoServer {
  std::string data_directory;
  std::uint16_t port = 0;
};

struct DemoOutcome {
  std::string directory;
  std::string user;
  std::string bin_directory;
  DemoServer primary;
  DemoServer standby;
  VerifyOutcome proof;
  bool removed = false;
};

/// `show` is called once, when the pair stands and is verified: what it prints is the cli's matter.
using DemoShow = std::function<base::Result<void>(const DemoOutcome&)>;

base::Result<DemoOutcome> run_demo(const DemoOptions& options, const SetupEnvironment& environment,
                                   const DemoShow& show);

}  // namespace standfast::setup
