#include "clone/agent_stream.h"

#include <utility>

namespace standfast::clone {

using base::Result;

namespace {

class AgentStream final : public CopyStream {
 public:
  AgentStream(std::unique_ptr<agent::AgentClient> client, SharedPacking& packing)
      : client_(std::move(client)), packing_(packing) {}

  std::size_t max_under_way() const override { return client_->max_under_way(); }

  Result<void> ask_bytes(std::uint32_t file, const agent::FileRange& range) override {
    return client_->ask(agent::ReadRange{.file = file,
                                         .offset = range.offset,
                                         .length_bytes = range.length_bytes,
                                         .compression = packing_.next()});
  }
  Result<void> ask_hashes(const agent::HashRange& range) override { return client_->ask(range); }

  Result<Bytes> take_bytes() override {
    const auto taken = TRY(client_->take_bytes());
    packing_.measured(taken.cost);
    return Bytes{.is_gone = taken.is_gone, .plain = taken.plain};
  }
  Result<agent::RangeHashes> take_hashes() override { return client_->take_hashes(); }

 private:
  std::unique_ptr<agent::AgentClient> client_;
  SharedPacking& packing_;
};

}  // namespace

agent::Compression SharedPacking::next() const {
  const std::lock_guard lock(mutex_);
  return choice_.next();
}

void SharedPacking::measured(const agent::RangeCost& cost) {
  const std::lock_guard lock(mutex_);
  choice_.measured(cost);
}

OpenCopyStream open_from_agent(net::HostPort address, agent::ClientOptions options, agent::BackupId backup,
                               SharedPacking& packing) {
  return [address = std::move(address), options = std::move(options), backup,
          &packing](const env::StopEvent& stop) -> Result<std::unique_ptr<CopyStream>> {
    auto client = TRY(agent::AgentClient::connect(address, options, &stop));
    TRY(client->attach(backup));
    return std::unique_ptr<CopyStream>(std::make_unique<AgentStream>(std::move(client), packing));
  };
}

}  // namespace standfast::clone
