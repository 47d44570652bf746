// Which Compression the next ranges should have, from what the last ones cost: the seconds that the link kept
// the stream waiting, and the CPU that both ends spent, on reading, packing, TLS and the sockets. It is the
// link that is waited for where both ends wait: where the agent alone does, the client's disk is slow, and
// where the client alone does, the source is. CPU time is that of the threads, so that what else runs on the
// hosts does not count. Nothing is guessed: what each would cost is tried, in a round that asks for some
// ranges of each, and the cheapest is taken. So a link that is slower than the CPU gets lz4 or zstd; on one
// that is not, what packs well is packed where that saves more CPU in TLS than it costs; and a disk that is
// slower than both changes nothing.
//
// What is measured comes in windows of some ranges. The first ranges after each change are not counted, as
// they meet what was in the buffers. Rounds come rarer while they change nothing, and soon again when the
// cost has changed and stays so. After a change nothing changes for a time, which doubles with each change up
// to a bound: a link that varies faster than that is not followed. Something that packs harder has to
// cost less by a margin, something that packs less only to cost less: of two that are alike the CPU is
// spared.
//
// Threading: one thread; streams that share a link share one, under a lock of its owner. Pure: no clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "agent/messages.h"

namespace standfast::agent {

struct RangeCost {
  Compression asked = Compression::kNone;  ///< what next() said, even where the range was no shorter for it
  std::uint64_t plain_bytes = 0;
  double client_waited_seconds = 0;  ///< for bytes
  double agent_waited_seconds = 0;   ///< for room to send them
  double cpu_seconds = 0;            ///< of both
};

class PackingChoice {
 public:
  Compression next() const { return trial_.value_or(chosen_); }
  /// Of one range. Ranges that were asked for before the last change may still come in between.
  void measured(const RangeCost& cost);

  Compression chosen() const { return chosen_; }  ///< without what is only tried
  int changes() const { return changes_; }

 private:
  struct Window {
    std::uint64_t ranges = 0;
    std::uint64_t plain_bytes = 0;
    double client_waited_seconds = 0;
    double agent_waited_seconds = 0;
    double cpu_seconds = 0;

    void add(const RangeCost& cost);
    bool is_settled() const;
    bool is_full() const;
    bool is_hopeless(double beside_cost) const;
    double seconds() const { return client_waited_seconds + cpu_seconds; }
    double cost() const;  ///< of a byte
  };
  struct Known {
    double cost = 0;  ///< seconds for a byte
    double cpu = 0;   ///< the part of it that no link changes; 0 as long as it was not tried
  };
  static constexpr std::size_t kCount = 3;  ///< of Compression

  Known& known(Compression which) { return known_[static_cast<std::size_t>(which)]; }
  const Known& known(Compression which) const { return known_[static_cast<std::size_t>(which)]; }
  void end_window();
  void follow_cost(double window_cost);
  bool is_worth_a_trial(Compression which) const;
  /// Goes on with the round, from this one up; none left: the round ends.
  void try_from(std::size_t first);
  void end_round();
  void begin_window();

  Compression chosen_ = Compression::kNone;
  std::optional<Compression> trial_;
  Window window_;
  Window settling_;  ///< what was not counted since the last change
  bool is_settled_ = false;
  std::array<Known, kCount> known_{};
  double judged_cost_ = 0;    ///< of the chosen one when a round ended
  int odd_windows_ = 0;       ///< in a row whose cost is far from that
  int windows_to_round_ = 1;  ///< of the chosen one
  int round_interval_ = 0;
  int windows_to_change_ = 0;
  int change_interval_ = 0;
  int changes_ = 0;
};

}  // namespace standfast::agent
