// What the facts of a host mean for replication: what is well, what is risky, what is wrong and what to do.
//
// Threading: pure functions on values. Fails: never; what could not be seen is a finding of its own.
// Invariant: no finding holds a secret: of a connection string only its masked form is quoted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "setup/doctor_facts.h"

namespace standfast::setup {

enum class Health : std::uint8_t { kWell, kUnknown, kRisk, kWrong };  ///< better ones first
std::string_view name_of(Health health);

struct DoctorFinding {
  Health health = Health::kWell;
  std::string topic;  ///< a heading: "settings", "access"
  std::string check;  ///< stable, for programs: "max_slot_wal_keep_size"
  std::string what;   ///< one lower-case line
  std::string why = {};
  std::string what_to_do = {};  ///< a sentence
};

struct DoctorReport {
  std::string data_directory = {};  ///< "" when no cluster was looked at
  std::string server = {};          ///< "primary, PostgreSQL 15.18, running"; "" as well
  std::vector<DoctorFinding> findings;

  std::size_t count(Health health) const;
  Health worst() const;
  /// 0, or kPrecondition's when something is wrong.
  int exit_code() const;
};

DoctorReport judge(const DoctorFacts& facts);

/// A topic's findings, as they are collected.
class Findings {
 public:
  Findings(std::vector<DoctorFinding>& into, std::string_view topic) : into_(into), topic_(topic) {}

  void well(std::string_view check, std::string what) { add(Health::kWell, check, std::move(what), "", ""); }
  void risk(std::string_view check, std::string what, std::string why, std::string what_to_do) {
    add(Health::kRisk, check, std::move(what), std::move(why), std::move(what_to_do));
  }
  void wrong(std::string_view check, std::string what, std::string why, std::string what_to_do) {
    add(Health::kWrong, check, std::move(what), std::move(why), std::move(what_to_do));
  }
  void unknown(std::string_view check, std::string what, std::string why) {
    add(Health::kUnknown, check, std::move(what), std::move(why), "");
  }

 private:
  void add(Health health, std::string_view check, std::string what, std::string why, std::string what_to_do) {
    into_.push_back(
        {health, topic_, std::string(check), std::move(what), std::move(why), std::move(what_to_do)});
  }

  std::vector<DoctorFinding>& into_;
  std::string topic_;
};

// The topics; each looks at its own facts.

void judge_installation(const DoctorFacts& facts, std::vector<DoctorFinding>& into);
void judge_cluster(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_settings(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_configuration(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_access(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_tls(const DataDirectoryFacts& facts, std::int64_t now_unix_seconds,
               std::vector<DoctorFinding>& into);
void judge_slots(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_data(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_standby(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_folders(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);
void judge_leftovers(const DataDirectoryFacts& facts, std::vector<DoctorFinding>& into);

/// How many standbys a commit waits for by synchronous_standby_names: 0 for none, 2 for "ANY 2 (a, b, c)".
int synchronous_standbys_wanted(std::string_view synchronous_standby_names);

}  // namespace standfast::setup
