#include "setup/join_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

constexpr pg::SystemId kSystemId{7000000000000000001ULL};

PrimaryFacts good_primary() {
  PrimaryFacts facts;
  facts.version = pg::Version(150018);
  facts.system_id = kSystemId;
  facts.machine = "x86_64";
  facts.settings = {{"max_connections", 100}};
  facts.data_bytes = 1000;
  facts.slot_exists = true;
  return facts;
}

HostFacts good_host() {
  HostFacts facts;
  facts.version = pg::Version(150020);
  facts.machine = "x86_64";
  facts.available_bytes = 10'000;
  facts.disk_of = "/var/lib";
  return facts;
}

std::vector<base::ErrorCode> codes(const PrimaryFacts& primary, const HostFacts& host) {
  std::vector<base::ErrorCode> found;
  for (const base::Error& error : what_does_not_fit(primary, host, {kSystemId, "pgstandby1"})) {
    EXPECT_FALSE(error.hint.empty()) << error.message;
    found.push_back(error.code);
  }
  return found;
}

TEST(JoinChecks, HostsThatFitHaveNothingInTheWay) {
  EXPECT_TRUE(codes(good_primary(), good_host()).empty());
}

TEST(JoinChecks, EachMisfitIsNamedAndAllAtOnce) {
  using base::ErrorCode;
  PrimaryFacts primary = good_primary();
  HostFacts host = good_host();
  primary.system_id = pg::SystemId(1);
  primary.in_recovery = true;
  primary.slot_is_active = true;
  host.version = pg::Version(140000);
  host.machine = "aarch64";
  host.missing_libraries = {"pg_stat_statements"};
  host.unfit_tablespaces = {base::Error(ErrorCode::kTargetRefused, "not empty", "Empty it.")};
  host.available_bytes = 999;
  host.taken_port = 5432;
  EXPECT_THAT(codes(primary, host),
              testing::ElementsAre(ErrorCode::kPrecondition, ErrorCode::kPrecondition, ErrorCode::kVersion,
                                   ErrorCode::kVersion, ErrorCode::kPrecondition, ErrorCode::kTargetRefused,
                                   ErrorCode::kDiskFull, ErrorCode::kInUse, ErrorCode::kSlot));
}

}  // namespace
}  // namespace standfast::setup
