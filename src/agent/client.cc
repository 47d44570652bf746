#include "agent/client.h"

#include <chrono>
#include <cstdlib>
#include <new>
#include <utility>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "base/check.h"
#include "base/cpu_stopwatch.h"

namespace standfast::agent {

using base::Clock;
using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

constexpr double kMicrosecondsInSecond = 1e6;
constexpr base::Seconds kLastWordsPatience(1);

template <typename Duration>
double seconds_of(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct AgentClient::AlignedRoom {
  static constexpr std::size_t kBytes = env::kDirectBlockBytes + kMaxRangeBytes;

  AlignedRoom() : memory(static_cast<std::byte*>(std::aligned_alloc(env::kDirectBlockBytes, kBytes))) {
    if (memory == nullptr) throw std::bad_alloc();
  }
  ~AlignedRoom() { std::free(memory); }
  AlignedRoom(const AlignedRoom&) = delete;
  AlignedRoom& operator=(const AlignedRoom&) = delete;

  static_assert(kBytes % env::kDirectBlockBytes == 0 && kRangeFrontBytes <= env::kDirectBlockBytes);
  /// The message begins so that what follows its front is aligned.
  std::span<std::byte> message() {
    return std::span(memory, kBytes).subspan(env::kDirectBlockBytes - kRangeFrontBytes);
  }
  std::span<std::byte> range() { return std::span(memory, kMaxRangeBytes); }

  std::byte* memory;
};

AgentClient::AgentClient(int fd, ClientOptions options, const env::StopEvent* stop)
    : channel_(fd), options_(std::move(options)), stop_(stop), room_(std::make_unique<AlignedRoom>()) {
  CHECK(options_.context != nullptr);
  CHECK(options_.max_under_way > 0 && options_.max_under_way <= kMaxUnderWay);
}

AgentClient::~AgentClient() = default;

Result<std::unique_ptr<AgentClient>> AgentClient::connect(const net::HostPort& address, ClientOptions options,
                                                          const env::StopEvent* stop) {
  const auto connect = [&]() -> Result<std::unique_ptr<AgentClient>> {
    const int fd = TRY(net::connect_to(address, env::Wait::for_at_most(options.patience.connect, stop)));
    return connect_over(fd, std::move(options), stop);
  };
  auto client = connect();
  if (client) return client;
  return std::move(client).error().with_context(
      fmt::format("the agent at {} port {}", address.host, address.port));
}

Result<std::unique_ptr<AgentClient>> AgentClient::connect_over(int fd, ClientOptions options,
                                                               const env::StopEvent* stop) {
  std::unique_ptr<AgentClient> client(new AgentClient(fd, std::move(options), stop));
  TRY(client->greet());
  return client;
}

Result<void> AgentClient::greet() {
  const ClientOptions& options = options_;
  peer_ = TRY(options.context->connect(channel_, options.member, wait(options.patience.connect)));
  const Hello hello{.version = kProtocolVersion, .system_id = options.system_id};
  welcome_ = TRY(say<Welcome>(hello, options.patience.connect));
  if (welcome_.version == kProtocolVersion) return base::ok();
  return broken(Error(ErrorCode::kVersion, fmt::format("the agent speaks version {} of its protocol, not {}",
                                                       welcome_.version, kProtocolVersion)));
}

Error AgentClient::broken(Error error) {
  if (!failure_) failure_ = error;
  return error;
}

Result<void> AgentClient::check_usable() const {
  if (failure_) return *failure_;
  return base::ok();
}

Result<void> AgentClient::send(const Request& request) {
  TRY(check_usable());
  TRY(check(request));
  std::string bytes = encode(request);
  auto sent = channel_.write_all(base::as_bytes(bytes), wait(options_.patience.answer));
  // It may have held the secret of a token.
  if (std::holds_alternative<SignRequest>(request)) OPENSSL_cleanse(bytes.data(), bytes.size());
  if (!sent) return broken(with_last_words(std::move(sent).error()));
  return base::ok();
}

/// An agent that refuses our certificate says so and closes at once: what we send can be too late for it, and
/// what it said is there all the same.
Error AgentClient::with_last_words(Error lost) {
  if (lost.code != ErrorCode::kConnect) return lost;
  std::byte ignored{};
  auto last = channel_.read_some(std::span(&ignored, 1), wait(kLastWordsPatience));
  return !last && last.error().code == ErrorCode::kCertificate ? std::move(last).error() : lost;
}

Result<void> AgentClient::read_all(std::span<std::byte> into, const env::Wait& wait,
                                   Clock::duration silence) {
  while (!into.empty()) {
    const env::Wait next{wait.deadline.earlier(base::Deadline::after(silence)), wait.stop};
    const std::size_t count = TRY(channel_.read_some(into, next));
    if (count == 0) return Error(ErrorCode::kConnect, "the agent closed the connection");
    into = into.subspan(count);
  }
  return base::ok();
}

std::span<std::byte> AgentClient::place_for(std::size_t message_length) {
  const std::span<std::byte> usual = room_->message();
  if (message_length <= usual.size()) return usual.first(message_length);
  const auto header = usual.first(kMessageHeaderBytes);
  long_message_.assign(header.begin(), header.end());
  long_message_.resize(message_length);
  return long_message_;
}

Result<Answer> AgentClient::receive(Clock::duration patience, Clock::duration silence) {
  TRY(check_usable());
  const auto receive_message = [&]() -> Result<Answer> {
    const env::Wait until = wait(patience);
    const auto header = room_->message().first(kMessageHeaderBytes);
    TRY(read_all(header, until, silence));
    const auto length = TRY(message_bytes(header, Speaker::kAgent));
    if (!length) return Error(ErrorCode::kProtocol, "the agent's message has no length");
    const std::span<std::byte> message = place_for(*length);
    TRY(read_all(message.subspan(kMessageHeaderBytes), until, silence));
    return parse_answer(message);
  };
  Result<Answer> answer = receive_message();
  if (!answer) return broken(std::move(answer).error());
  return answer;
}

template <typename Wanted>
Result<Wanted> AgentClient::say(const Request& request, Clock::duration patience) {
  TRY(check_usable());
  CHECK(asked_.empty());
  TRY(send(request));
  Answer answer = TRY(receive(patience, patience));
  long_message_ = {};
  const bool is_understood =
      std::holds_alternative<Wanted>(answer) || std::holds_alternative<Refused>(answer);
  auto wanted = expect<Wanted>(std::move(answer));
  if (!is_understood) return broken(std::move(wanted).error());
  return wanted;
}

Result<SignedCertificate> AgentClient::sign(SignRequest request) {
  return say<SignedCertificate>(std::move(request), options_.patience.answer);
}

Result<SignedCertificate> AgentClient::renew(RenewRequest request) {
  return say<SignedCertificate>(std::move(request), options_.patience.answer);
}

Result<std::string> AgentClient::list_revoked() {
  return TRY(say<RevokedCertificates>(ListRevoked{}, options_.patience.answer)).list_pem;
}

Result<BackupBegun> AgentClient::begin_backup(BeginBackup request) {
  return say<BackupBegun>(std::move(request), options_.patience.backup);
}

Result<SlotState> AgentClient::look_at_slot(const std::string& name) {
  return say<SlotState>(LookAtSlot{.name = name}, options_.patience.silence);
}

Result<void> AgentClient::attach(const BackupId& id) {
  TRY(say<Attached>(AttachBackup{.id = id}, options_.patience.answer));
  return base::ok();
}

Result<BackupEnded> AgentClient::end_backup() {
  return say<BackupEnded>(EndBackup{}, options_.patience.end);
}

Result<std::vector<FileEntry>> AgentClient::list_files() {
  std::vector<FileEntry> list;
  FileEntries next = TRY(say<FileEntries>(ListFiles{}, options_.patience.listing));
  while (true) {
    for (FileEntry& entry : next.entries) {
      if (!list.empty() && entry.number <= list.back().number) {
        return broken(Error(ErrorCode::kProtocol, "the agent's list of files has a number twice"));
      }
      if (list.size() == options_.max_listed_entries) {
        return broken(Error(ErrorCode::kPrecondition,
                            fmt::format("the agent lists more than {} files", options_.max_listed_entries)));
      }
      list.push_back(std::move(entry));
    }
    if (next.is_last) return list;
    Answer answer = TRY(receive(options_.patience.answer, options_.patience.silence));
    long_message_ = {};
    auto more = expect<FileEntries>(std::move(answer));
    // Whatever comes in the middle of a list, no more of the list does.
    if (!more) return broken(std::move(more).error());
    next = std::move(more).value();
  }
}

Result<void> AgentClient::ask(Asked asked) {
  TRY(check_usable());
  CHECK(asked_.size() < options_.max_under_way);
  TRY(std::visit([&](const auto& range) { return send(range); }, asked));
  asked_.push_back(std::move(asked));
  return base::ok();
}

Result<void> AgentClient::ask(const ReadRange& range) {
  return ask(Asked(range));
}

Result<void> AgentClient::ask(const HashRange& range) {
  return ask(Asked(range));
}

Result<Answer> AgentClient::take_answer(Clock::duration silence) {
  Answer answer = TRY(receive(options_.patience.answer, silence));
  asked_.pop_front();
  return answer;
}

Result<AgentClient::Bytes> AgentClient::take_bytes() {
  TRY(check_usable());
  CHECK(!asked_.empty() && std::holds_alternative<ReadRange>(asked_.front()));
  const ReadRange asked = std::get<ReadRange>(asked_.front());
  const base::CpuStopwatch cpu;
  const Clock::duration waited_before = channel_.waited_for_bytes();
  Answer answer = TRY(take_answer(options_.patience.silence));
  Bytes taken;
  if (const auto* refused = std::get_if<Refused>(&answer)) return error_of(*refused);
  auto range = expect<RangeBytes>(std::move(answer));
  if (!range) return broken(std::move(range).error());
  if (auto fits = check_fits(asked, *range); !fits) return broken(std::move(fits).error());
  taken.is_gone = range->is_gone;
  taken.plain = range->bytes;
  if (range->compression != Compression::kNone) {
    if (!unpacked_) unpacked_ = std::make_unique<AlignedRoom>();
    auto plain = unpacker_.unpack(*range, unpacked_->range());
    if (!plain) return broken(std::move(plain).error());
    taken.plain = *plain;
  }
  taken.cost = {.asked = asked.compression,
                .plain_bytes = range->plain_bytes,
                .client_waited_seconds = seconds_of(channel_.waited_for_bytes() - waited_before),
                .agent_waited_seconds = range->waited_microseconds / kMicrosecondsInSecond,
                .cpu_seconds = seconds_of(cpu.elapsed()) + range->cpu_microseconds / kMicrosecondsInSecond};
  return taken;
}

Result<RangeHashes> AgentClient::take_hashes() {
  TRY(check_usable());
  CHECK(!asked_.empty() && std::holds_alternative<HashRange>(asked_.front()));
  const HashRange asked = std::get<HashRange>(asked_.front());
  Answer answer = TRY(take_answer(options_.patience.answer));
  if (const auto* refused = std::get_if<Refused>(&answer)) return error_of(*refused);
  auto hashes = expect<RangeHashes>(std::move(answer));
  if (!hashes) return broken(std::move(hashes).error());
  if (auto fits = check_fits(asked, *hashes); !fits) return broken(std::move(fits).error());
  return hashes;
}

}  // namespace standfast::agent
