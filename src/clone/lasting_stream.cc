#include "clone/lasting_stream.h"

#include <deque>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace standfast::clone {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

bool is_of_the_network(const Error& error) {
  return error.code == ErrorCode::kConnect || error.code == ErrorCode::kTimeout;
}

class LastingStream final : public CopyStream {
 public:
  LastingStream(OpenCopyStream open, const LastingRules& rules, const env::StopEvent& stop)
      : open_(std::move(open)), rules_(rules), stop_(stop), next_pause_(rules.first_pause) {}

  Result<void> connect() {
    if (!until_) until_ = base::Deadline::after(rules_.patience);
    while (true) {
      if (attempts_ > 0) TRY(pause());
      ++attempts_;
      auto connected = connect_once();
      if (connected || !is_of_the_network(connected.error())) return connected;
      failed_ = std::move(connected).error();
    }
  }

  std::size_t max_under_way() const override { return stream_->max_under_way(); }

  Result<void> ask_bytes(std::uint32_t file, const agent::FileRange& range) override {
    return ask(Bytewise{file, range});
  }
  Result<void> ask_hashes(const agent::HashRange& range) override { return ask(range); }

  Result<Bytes> take_bytes() override {
    return take([this] { return stream_->take_bytes(); });
  }
  Result<agent::RangeHashes> take_hashes() override {
    return take([this] { return stream_->take_hashes(); });
  }

 private:
  struct Bytewise {
    std::uint32_t file = 0;
    agent::FileRange range;
  };
  using Asked = std::variant<Bytewise, agent::HashRange>;

  Result<void> send(const Asked& asked) {
    if (const auto* bytes = std::get_if<Bytewise>(&asked))
      return stream_->ask_bytes(bytes->file, bytes->range);
    return stream_->ask_hashes(std::get<agent::HashRange>(asked));
  }

  /// On a connection that is broken nothing is sent: it is when the answer is wanted that another is opened.
  Result<void> ask(Asked asked) {
    unanswered_.push_back(std::move(asked));
    if (broke_) return base::ok();
    auto sent = send(unanswered_.back());
    if (sent || !is_of_the_network(sent.error())) return sent;
    broke_ = std::move(sent).error();
    return base::ok();
  }

  template <typename Take>
  auto take(const Take& take_from_stream) -> decltype(take_from_stream()) {
    while (true) {
      if (broke_) TRY(connect());
      auto taken = take_from_stream();
      if (!taken && is_of_the_network(taken.error())) {
        broke_ = std::move(taken).error();
        continue;
      }
      unanswered_.pop_front();
      attempts_ = 0;
      next_pause_ = rules_.first_pause;
      until_.reset();
      failed_.reset();
      return taken;
    }
  }

  Result<void> connect_once() {
    stream_ = TRY(open_(stop_));
    for (const Asked& asked : unanswered_) TRY(send(asked));
    if (const auto broke = std::exchange(broke_, std::nullopt); broke && rules_.on_break)
      rules_.on_break(*broke);
    return base::ok();
  }

  /// Before another attempt; fails where none is left.
  Result<void> pause() {
    if (attempts_ >= rules_.attempts || until_->passed()) return out_of_attempts();
    const auto wait = env::Wait::for_at_most(std::exchange(next_pause_, 2 * next_pause_), &stop_);
    if (env::wait_for(-1, 0, wait) == env::Ready::kStopped) return env::cancelled_error();
    return base::ok();
  }

  Error out_of_attempts() const {
    if (!broke_ || !failed_) return broke_ ? *broke_ : *failed_;
    return {failed_->code,
            fmt::format("{}, and no other connection came: {}", broke_->message, failed_->message),
            failed_->hint};
  }

  const OpenCopyStream open_;
  const LastingRules rules_;
  const env::StopEvent& stop_;
  std::unique_ptr<CopyStream> stream_;
  std::deque<Asked> unanswered_;
  std::optional<Error> broke_;  ///< why there is no connection now
  // Since the last answer.
  std::optional<Error> failed_;  ///< the last attempt
  int attempts_ = 0;
  std::optional<base::Deadline> until_;
  base::Clock::duration next_pause_;
};

}  // namespace

OpenCopyStream lasting(OpenCopyStream open, LastingRules rules) {
  return [open = std::move(open),
          rules = std::move(rules)](const env::StopEvent& stop) -> Result<std::unique_ptr<CopyStream>> {
    auto stream = std::make_unique<LastingStream>(open, rules, stop);
    TRY(stream->connect());
    return std::unique_ptr<CopyStream>(std::move(stream));
  };
}

}  // namespace standfast::clone
