// The backups that are going on at an agent: each is held by the connection that began it, and used by those
// of the same member that know its number, which nobody guesses.
//
// A backup ends with its OwnedBackup, however that goes, or when the server ends it. The list of its files
// and the folders that it reads go then, too, as soon as no request works with them any more: who takes part
// holds them no longer than a request takes.
//
// Threading: Backups and OpenBackup are used by any thread; an OwnedBackup by one. Ownership: Backups
// outlives each OwnedBackup. Invariant: never more than Options::max_backups, those that are beginning
// counted. Fails: kConnect for one more, so that it is tried again; kPrecondition for one that is not
// going on, or is another member's, which are not told apart; else as Bracket and SourceTree::open().
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/backup.h"
#include "agent/messages.h"
#include "agent/source_tree.h"
#include "base/result.h"
#include "base/time.h"
#include "env/stop_event.h"

namespace standfast::agent {

constexpr std::size_t kMaxBackups = 8;

/// What those that take part in a backup share.
class OpenBackup {
 public:
  explicit OpenBackup(SourceTree tree) : tree_(std::move(tree)) { mark_use(); }

  const SourceTree& tree() const { return tree_; }
  /// Whoever takes part is allowed to be silent for as long as one of them is not.
  void mark_use() { last_use_ = base::Clock::now(); }
  base::Clock::time_point last_use() const { return last_use_; }

 private:
  const SourceTree tree_;
  std::atomic<base::Clock::time_point> last_use_;
};

class Backups;

/// A backup as the connection has it that began it.
class OwnedBackup {
 public:
  ~OwnedBackup();
  OwnedBackup(const OwnedBackup&) = delete;
  OwnedBackup& operator=(const OwnedBackup&) = delete;

  BackupBegun begun() const;
  /// Null once it has ended.
  const std::shared_ptr<OpenBackup>& open() const { return open_; }
  /// Whether the server still has it; after an error it has ended, and end() fails with that error.
  base::Result<void> check(const env::Wait& wait);
  /// As check(), but for what the server answers the question itself with.
  base::Result<SlotState> slot(const std::string& name, const env::Wait& wait);
  /// Once. Nobody takes part any more, whatever comes of it.
  base::Result<BackupEnded> end(const env::Wait& wait);

 private:
  friend class Backups;
  base::Error lose(base::Error error);
  OwnedBackup(Backups& backups, const BackupId& id) : backups_(backups), id_(id) {}

  Backups& backups_;
  const BackupId id_;
  std::unique_ptr<Bracket> bracket_;
  std::shared_ptr<OpenBackup> open_;
  std::optional<base::Error> lost_;
};

class Backups {
 public:
  /// Makes a connection to the server, and begins a backup there.
  using BeginBracket =
      std::function<base::Result<std::unique_ptr<Bracket>>(const BeginBackup&, const env::Wait&)>;
  struct Options {
    BeginBracket begin_bracket;  ///< called by several threads at once
    SourceTreeOptions tree;      ///< stats_temp_folder is the bracket's to tell
    std::size_t max_backups = kMaxBackups;
  };
  explicit Backups(Options options) : options_(std::move(options)) {}
  Backups(const Backups&) = delete;
  Backups& operator=(const Backups&) = delete;

  base::Result<std::unique_ptr<OwnedBackup>> begin(std::string_view member, const BeginBackup& request,
                                                   const env::Wait& wait);
  /// To be locked for each request: null once the backup has ended.
  base::Result<std::weak_ptr<OpenBackup>> attach(std::string_view member, const BackupId& id) const;
  /// Those that are beginning are counted.
  std::size_t count() const;

 private:
  friend class OwnedBackup;
  struct Entry {
    BackupId id;
    std::string member;
    std::weak_ptr<OpenBackup> open = {};  ///< null while it begins, and after it was lost
  };
  base::Result<std::unique_ptr<OwnedBackup>> take_place(std::string_view member);
  void publish(const OwnedBackup& backup);
  void remove(const BackupId& id);

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

/// What is answered where a backup is not going on, or is not the asking member's.
base::Error no_such_backup();

}  // namespace standfast::agent
