// The witness of the demo: `standfast witness` as a process of its own, with a configuration file, users and
// WAL in a folder of the demo.
//
// Threading: one thread. Ownership: owns the process, and ends it when it goes, unless it was left. Fails
// with: kTimeout when it does not stream in time, kFailed when it ends by itself, as files, statements and
// processes do. No secret is in its arguments or its configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "env/background_program.h"
#include "pg/format/token.h"
#include "setup/demo_stage.h"

namespace standfast::setup {

class DemoWitness {
 public:
  DemoWitness(const DemoStage& stage, std::uint16_t port) : stage_(stage), port_(port) {}

  static constexpr const char* kName = "witness1";
  std::string folder() const { return stage_.folder + "/witness"; }
  std::string log_file() const { return folder() + "/log"; }
  std::uint16_t port() const { return port_; }
  std::optional<pid_t> process() const;

  /// Starts it on the primary of the token, and comes back when it streams from there. One that runs already
  /// is stopped first: its WAL stays.
  base::Result<void> follow(const DemoServer& primary, const pg::Token& token);
  /// Not held up by Ctrl-C.
  base::Result<void> stop();
  void leave();

 private:
  base::Result<void> write_files(const DemoServer& primary, const pg::Token& token) const;
  std::string configuration(const pg::Token& token, const std::string& certificate) const;
  base::Result<void> wait_until_it_streams(const DemoServer& primary) const;
  base::Error ended(int exit_code) const;

  const DemoStage& stage_;
  std::uint16_t port_;
  std::optional<env::BackgroundProgram> program_;
};

}  // namespace standfast::setup
