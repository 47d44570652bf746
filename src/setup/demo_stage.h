// What the parts of the demo have in common: its folder, its programs, and servers that are reached by their
// data directories.
//
// Threading: one thread. Ownership: a stage borrows the environment. Fails with: as connections and
// server/control.h do.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "pg/client/connection.h"
#include "pg/server/installation.h"
#include "setup/environment.h"

namespace standfast::setup {

inline constexpr const char* kDemoHost = "127.0.0.1";

struct DemoServer {
  std::string data_directory;
  std::uint16_t port = 0;
};

struct DemoStage {
  const SetupEnvironment& environment;
  std::string folder = {};
  server::Installation installation = {};

  base::Reporter& reporter() const { return environment.reporter; }
  env::Wait wait() const;  ///< for one statement
  base::Result<client::ConnectOptions> connection_to(const DemoServer& server) const;
  base::Result<client::Connection> connect(const DemoServer& server) const;
};

/// Stops the server if it runs. Of one that was killed it gives back the shared memory that it has left.
base::Result<void> end_demo_server(env::FileSystem& files, const std::string& data_directory,
                                   const server::Installation& installation);

}  // namespace standfast::setup
