// The half of session.h that is about the requests, one after the other.
#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <poll.h>

#include "agent/session.h"

namespace standfast::agent {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

Error no_authority() {
  return {ErrorCode::kPrecondition, "this host does not have the cluster's certificate authority",
          "Ask the host on which \"standfast primary setup\" was run."};
}

/// Of the data directory nothing: the rest is the least that a Welcome may have.
constexpr Welcome kWelcomeOfStrangers = {
    .block_bytes = 1024, .segment_blocks = 1, .wal_segment_bytes = std::uint64_t{1} << 20U};

template <typename Duration>
std::uint32_t microseconds_of(Duration duration) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, kMost));
}

/// While it lives, a client that closes sets `stop`. What the client sends meanwhile is left where it is.
class HangUpWatch {
 public:
  static Result<std::unique_ptr<HangUpWatch>> begin(int fd, env::StopEvent& stop,
                                                    base::Clock::duration patience) {
    auto done = TRY(env::StopEvent::make());
    std::unique_ptr<HangUpWatch> watch(new HangUpWatch(std::move(done)));
    const env::Wait wait = env::Wait::for_at_most(patience, watch->done_.get());
    try {
      watch->thread_ = std::jthread([fd, &stop, wait] {
        if (env::wait_for(fd, POLLRDHUP, wait) == env::Ready::kYes) stop.set();
      });
    } catch (const std::system_error& error) {
      return Error(ErrorCode::kIo, fmt::format("could not start a thread: {}", error.what()));
    }
    return watch;
  }
  ~HangUpWatch() { done_->set(); }
  HangUpWatch(const HangUpWatch&) = delete;
  HangUpWatch& operator=(const HangUpWatch&) = delete;

 private:
  explicit HangUpWatch(std::unique_ptr<env::StopEvent> done) : done_(std::move(done)) {}

  const std::unique_ptr<env::StopEvent> done_;
  std::jthread thread_;  ///< the first to go
};

}  // namespace

bool Session::may_say(const Request& request) const {
  if (!has_greeted_ || std::holds_alternative<Hello>(request)) {
    return !has_greeted_ && std::holds_alternative<Hello>(request);
  }
  if (std::holds_alternative<SignRequest>(request)) return !peer_;
  if (!peer_) return false;
  if (std::holds_alternative<RenewRequest>(request) || std::holds_alternative<ListRevoked>(request)) {
    return true;
  }
  if (std::holds_alternative<BeginBackup>(request) || std::holds_alternative<AttachBackup>(request)) {
    return !part_;
  }
  if (std::holds_alternative<EndBackup>(request) || std::holds_alternative<LookAtSlot>(request)) {
    return owned_ != nullptr;
  }
  return part_.has_value();
}

Result<void> Session::take(const Request& request) {
  if (!may_say(request)) {
    return Error(ErrorCode::kProtocol, "the client's request is not one that may be made now",
                 "See that both hosts have the same version of standfast.");
  }
  return std::visit([this](const auto& one) { return answer(one); }, request);
}

Result<void> Session::answer(const Hello& hello) {
  is_over_ = true;  // unless all is well
  if (hello.version != kProtocolVersion) {
    return refuse(
        {ErrorCode::kVersion,
         fmt::format("this agent speaks version {} of the protocol, not {}", kProtocolVersion, hello.version),
         "Install the same version of standfast on both hosts."});
  }
  if (hello.system_id != host_.system_id()) {
    return refuse({ErrorCode::kPrecondition,
                   fmt::format("this agent's cluster is {}, not {}", host_.system_id().to_string(),
                               hello.system_id.to_string()),
                   "See whether the address is that of the cluster's host."});
  }
  auto facts = peer_ ? host_.facts() : Result<Welcome>(kWelcomeOfStrangers);
  if (!facts) {
    note(facts.error().message);
    return refuse(facts.error());
  }
  facts->version = kProtocolVersion;
  is_over_ = false;
  has_greeted_ = true;
  return say(*std::move(facts));
}

// ---------------------------------------------------------------- certificates

Result<void> Session::answer(const SignRequest& request) {
  is_over_ = true;
  auto members = host_.members();
  if (!members) return refuse(no_authority());
  return say_membership(members->admit(request.secret, request.request_pem, host_.now()));
}

Result<void> Session::answer(const RenewRequest& request) {
  auto members = host_.members();
  if (!members) return refuse(no_authority());
  return say_membership(members->renew(peer_->serial, request.request_pem, host_.now()));
}

Result<void> Session::say_membership(const Result<Membership>& membership) {
  if (!membership) {
    note(fmt::format("no certificate for it: {}", membership.error().message));
    return refuse(membership.error());
  }
  note(fmt::format("a certificate was given to \"{}\"", membership->facts.member.name));
  return say(SignedCertificate{membership->certificate_pem, membership->ca_pem});
}

Result<void> Session::answer(const ListRevoked&) {
  auto list = host_.revoked_list();
  if (!list) return refuse(list.error());
  return say(RevokedCertificates{*std::move(list)});
}

// ---------------------------------------------------------------- a backup

Result<std::unique_ptr<OwnedBackup>> Session::begin(const BeginBackup& request) {
  const auto patience = options_.patience.begin;
  const auto watch = TRY(HangUpWatch::begin(channel_.fd(), *stop_, patience));
  return host_.backups().begin(peer_->name, request, wait_for_at_most(patience));
}

Result<void> Session::answer(const BeginBackup& request) {
  auto begun = begin(request);
  if (!begun) note(fmt::format("no backup for it: {}", begun.error().message));
  // Whoever has gone, or is to stop, waits for no answer.
  if (stop_->is_set()) return env::cancelled_error();
  if (!begun) return refuse(begun.error());
  owned_ = *std::move(begun);
  part_ = owned_->open();
  note("a backup has begun");
  return say(owned_->begun());
}

Result<void> Session::answer(const AttachBackup& request) {
  auto part = host_.backups().attach(peer_->name, request.id);
  if (!part) return refuse(part.error());
  part_ = *std::move(part);
  return say(Attached{});
}

/// Held for one answer.
Result<std::shared_ptr<OpenBackup>> Session::backup() const {
  auto open = part_->lock();
  if (!open) return no_such_backup();
  open->mark_use();
  return open;
}

Result<void> Session::answer(const ListFiles&) {
  bool is_last = false;
  for (std::size_t from = 0; !is_last; from += kMaxEntriesInAnswer) {
    TRY(check_now_and_then());
    FileEntries list;
    {
      const auto open = backup();
      if (!open) return refuse(open.error());
      const std::span entries((*open)->tree().entries());
      const std::span rest = entries.subspan(std::min(from, entries.size()));
      const std::span some = rest.first(std::min(rest.size(), kMaxEntriesInAnswer));
      list.entries.assign(some.begin(), some.end());
      list.is_last = is_last = some.size() == rest.size();
    }
    TRY(say(std::move(list)));
  }
  return base::ok();
}

Result<void> Session::answer(const ReadRange& range) {
  range_.resize(kRangeFrontBytes + kMaxRangeBytes);
  // Behind the room for the front: what is not packed goes out as it was read.
  const auto room = std::span(range_).subspan(kRangeFrontBytes, range.length_bytes);
  Result<RangeRead> read = RangeRead{};
  {
    const auto open = backup();
    if (!open) return refuse(open.error());
    read = (*open)->tree().read_range(reading_, range.file, range.offset, room);
  }
  if (!read) {
    note(read.error().message);
    return refuse(read.error());
  }
  RangeBytes packed = packer_.pack(room.first(read->bytes), range.compression);
  packed.is_gone = read->is_gone;
  packed.cpu_microseconds = microseconds_of(cpu_.lap());
  packed.waited_microseconds = microseconds_of(channel_.waited_for_room() - room_waited_before_);
  room_waited_before_ = channel_.waited_for_room();
  const auto front = encode_front(packed);
  if (packed.compression != Compression::kNone) {
    TRY(send(front));
    return send(packed.bytes);
  }
  std::copy(front.begin(), front.end(), range_.begin());
  return send(Bytes(range_).first(front.size() + packed.bytes.size()));
}

Result<void> Session::answer(const HashRange& range) {
  Result<RangeHashes> hashes = RangeHashes{};
  {
    const auto open = backup();
    if (!open) return refuse(open.error());
    hashes = (*open)->tree().hash_range(range);
  }
  if (!hashes) {
    note(hashes.error().message);
    return refuse(hashes.error());
  }
  return say(*std::move(hashes));
}

Result<void> Session::answer(const LookAtSlot& look) {
  const auto state = owned_->slot(look.name, wait_for_at_most(options_.patience.end));
  if (!state) return refuse(state.error());
  return say(*state);
}

Result<void> Session::answer(const EndBackup&) {
  const auto ended = owned_->end(wait_for_at_most(options_.patience.end));
  owned_.reset();
  part_.reset();
  reading_ = {};
  note(ended ? "its backup has ended as it should" : fmt::format("its backup: {}", ended.error().message));
  if (!ended) return refuse(ended.error());
  return say(*ended);
}

}  // namespace standfast::agent
