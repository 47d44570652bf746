#include "setup/pairing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace standfast::setup {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

PairingSide side(int version) {
  PairingSide side;
  side.version = pg::Version(version);
  side.machine = "x86_64";
  side.build = {8192, 8192, 131072, true};
  side.collations.libc = "2.36";
  side.collations.icu = "153.120";
  return side;
}

/// One letter a finding, in their order: r(efuse), w(arn), n(ote).
std::string severities(const PairingSide& source, const PairingSide& host) {
  std::string letters;
  for (const PairingFinding& finding : judge_pairing(source, host)) {
    EXPECT_FALSE(finding.hint.empty()) << finding.message;
    switch (finding.severity) {
      case PairingSeverity::kRefuse:
        letters += 'r';
        break;
      case PairingSeverity::kWarn:
        letters += 'w';
        break;
      case PairingSeverity::kNote:
        letters += 'n';
        break;
    }
  }
  return letters;
}

struct Pairing {
  int source;
  int host;
  const char* severities;
};

TEST(Pairing, ReleasesThatMustNotBePairedAreKnown) {
  const Pairing table[] = {
      {150020, 150020, ""},  {150018, 150020, ""},  // a newer standby is how one updates
      {150020, 150018, "w"}, {150018, 150018, ""},  // both write and read the new way
      {150015, 150018, "r"},                        // the deadlock
      {150016, 150018, ""},  {150015, 150019, ""},  {150015, 150016, "w"},  // fails after a truncation
      {150015, 150017, "w"}, {150015, 150015, ""},  {150014, 150012, "w"},  // older, both before all that
      {140020, 140023, "r"}, {140021, 140023, ""},  {140020, 140024, ""},  {160011, 160014, "r"},
      {160012, 160014, ""},  {160011, 160015, ""},  {170007, 170010, ""},  // 17 and 18 never had the deadlock
      {170007, 170008, "w"}, {170007, 170009, "w"}, {180001, 180004, ""},  {180001, 180002, "w"},
      {130023, 130020, "w"}, {120022, 120022, ""},  {120022, 130023, "r"},  // majors
      {180004, 170010, "r"},
  };
  for (const Pairing& pair : table) {
    EXPECT_EQ(severities(side(pair.source), side(pair.host)), pair.severities)
        << pair.source << " to " << pair.host;
  }
}

TEST(Pairing, TheDeadlockNamesTheReleaseThatMendsIt) {
  for (const auto& [source, host, mended, source_mended] :
       {std::tuple(140020, 140023, "14.24", "14.21"), std::tuple(150015, 150018, "15.19", "15.16"),
        std::tuple(160011, 160014, "16.15", "16.12")}) {
    const auto found = judge_pairing(side(source), side(host));
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found[0].message, HasSubstr("deadlock"));
    EXPECT_THAT(found[0].hint, HasSubstr(mended));
    EXPECT_THAT(found[0].hint, HasSubstr(source_mended));
  }
}

TEST(Pairing, TheWalOfAStandbyIsWrittenElsewhereSoThatIsOnlyAWarning) {
  PairingSide source = side(150018);
  source.in_recovery = true;
  EXPECT_EQ(severities(source, side(150018)), "w");
  EXPECT_EQ(severities(source, side(150019)), "");
}

TEST(Pairing, BuildsThatDoNotFitAreRefusedAndWhatIsNotKnownIsNotJudged) {
  PairingSide host = side(150020);
  host.build = {4096, 16384, 65536, false};
  host.machine = "aarch64";
  EXPECT_EQ(severities(side(150020), host), "rrrrr");
  host.build = {};
  host.machine = "";
  host.collations = {};
  EXPECT_EQ(severities(side(150020), host), "");
}

TEST(Pairing, CollationsOfAnotherVersionAreWarnedOfWhereADatabaseSortsByThem) {
  PairingSide source = side(150020);
  PairingSide host = side(150020);
  host.collations.libc = "2.31";
  EXPECT_EQ(severities(source, host), "n") << "C and POSIX do not ask libc";
  source.collations.libc_databases = {"a", "b", "c", "d", "e", "f"};
  const auto found = judge_pairing(source, host);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].severity, PairingSeverity::kWarn);
  EXPECT_THAT(found[0].message, HasSubstr("2.36"));
  EXPECT_THAT(found[0].message, HasSubstr("2.31"));
  EXPECT_THAT(found[0].message, HasSubstr("a, b, c, d, e and 1 more"));
  host.collations.icu = "153.80";
  source.collations.icu_databases = {"a"};
  EXPECT_EQ(severities(source, host), "ww");
}

TEST(Pairing, EqualCollationsAreNothingToSay) {
  EXPECT_THAT(judge_collations(side(150020).collations, side(150020).collations), IsEmpty());
}

}  // namespace
}  // namespace standfast::setup
