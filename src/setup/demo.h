// `standfast demo`: a primary and a hot standby on this machine, in one folder, on free ports of the
// loopback, made by the same workflows that real hosts use. Each step is timed. The pair is shown and
// verified; then a witness joins it, the standby is cut off, the primary killed and the standby promoted
// (demo_act.h), and the old primary comes back as a standby. At the end all of it is taken away again.
//
// Threading: one thread, but for the act's writers. Everything it makes lies in its folder; secrets too
// (STANDFAST_HOME is set for this process). Fails with whatever the workflows fail with; then it stops and
// removes what it made, unless it is to be kept. Killed with SIGKILL it leaves servers and witness running.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "setup/demo_act.h"
#include "setup/demo_stage.h"
#include "setup/environment.h"
#include "setup/verify.h"

namespace standfast::setup {

enum class DemoEnd : std::uint8_t {
  kStay,  ///< until the stop event, then remove
  kOnce,  ///< remove after the last step
  kKeep,  ///< leave both servers and the witness running
};

struct DemoOptions {
  std::optional<std::string> directory = {};  ///< missing or empty; else a new one in the temporary folder
  std::optional<std::string> bin_directory = {};
  DemoEnd end = DemoEnd::kStay;
};

struct DemoWitnessFacts {
  std::string folder;
  std::uint16_t port = 0;
  std::optional<pid_t> process = {};
};

/// Who is primary and who standby changes with the promotion.
struct DemoOutcome {
  std::string directory;
  std::string user;
  std::string bin_directory;
  DemoServer primary;
  DemoServer standby;
  DemoWitnessFacts witness;
  VerifyOutcome proof;
  DemoLossProof loss_proof;
  bool removed = false;
};

enum class DemoScene : std::uint8_t {
  kPair,     ///< it stands and is verified
  kWitness,  ///< has joined
  kEnd,      ///< three members again, after the promotion
};
/// What it prints is the cli's matter.
using DemoShow = std::function<base::Result<void>(const DemoOutcome&, DemoScene)>;

base::Result<DemoOutcome> run_demo(const DemoOptions& options, const SetupEnvironment& environment,
                                   const DemoShow& show);

}  // namespace standfast::setup
