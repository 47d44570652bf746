#include "cli/reporters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/table.h"

namespace standfast::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class ReporterTest : public testing::Test {
 protected:
  Screen screen() {
    Screen screen;
    screen.out = [this](std::string_view text) { out += text; };
    screen.err = [this](std::string_view text) { err += text; };
    screen.now = [this] { return now; };
    return screen;
  }
  std::string out, err;
  base::Clock::time_point now;
};

TEST_F(ReporterTest, StepsAreNumberedAndInfosIndented) {
  TerminalReporter reporter(screen());
  reporter.step("1.3", "pg_hba.conf: a line for 10.20.20.2/32");
  reporter.info("added");
  reporter.detail("not shown");
  reporter.step("", "done");
  EXPECT_EQ(out, "[1.3] pg_hba.conf: a line for 10.20.20.2/32\n      added\ndone\n");
}

TEST_F(ReporterTest, WarningsGoToStandardErrorWithTheirHint) {
  TerminalReporter reporter(screen());
  reporter.warn("the slot is not bounded", "Watch it.");
  EXPECT_EQ(err, "warning: the slot is not bounded\nhint: Watch it.\n");
  EXPECT_EQ(out, "");
}

TEST_F(ReporterTest, NothingEscapesWhereThereIsNoColour) {
  Screen plain = screen();
  plain.err_is_terminal = true;
  TerminalReporter reporter(plain);
  reporter.step("1.1", "a");
  reporter.progress({1, 2, "x"});
  reporter.warn("b\x1b[31m", "C.");
  EXPECT_THAT(out + err, Not(HasSubstr("\x1b")));
}

TEST_F(ReporterTest, ProgressIsRedrawnAtMostFiveTimesASecond) {
  Screen terminal = screen();
  terminal.err_is_terminal = true;
  TerminalReporter reporter(terminal);
  for (int i = 0; i < 1000; ++i) {
    reporter.progress({static_cast<std::uint64_t>(i) * 1024, 1024 * 1024, ""});
    now += std::chrono::milliseconds(1);
  }
  EXPECT_EQ(std::count(err.begin(), err.end(), '\r'), 5);
  EXPECT_THAT(err, HasSubstr("200 KiB of 1 MiB (19%)"));
  EXPECT_THAT(err, HasSubstr(", 1 s left"));
}

TEST_F(ReporterTest, ProgressIsClearedBeforeALine) {
  Screen terminal = screen();
  terminal.err_is_terminal = true;
  TerminalReporter reporter(terminal);
  reporter.progress({5, {}, "a"});
  const std::size_t drawn = err.size() - 1;
  reporter.info("x");
  EXPECT_TRUE(err.ends_with("\r" + std::string(drawn, ' ') + "\r")) << err;
}

TEST_F(ReporterTest, ProgressFitsTheTerminal) {
  Screen terminal = screen();
  terminal.err_is_terminal = true;
  terminal.err_width_columns = [] { return 30; };
  TerminalReporter reporter(terminal);
  reporter.progress({5, {}, "\xe4\xb8\xad\xe6\x96\x87 a very long name of a file in a folder"});
  EXPECT_LT(display_width(err.substr(1)), 30);
}

TEST_F(ReporterTest, LogGetsALineEachTenSeconds) {
  TerminalReporter reporter(screen());
  for (int second = 0; second <= 30; ++second) {
    reporter.progress({static_cast<std::uint64_t>(second), {}, ""});
    now += std::chrono::seconds(1);
  }
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 3);
  EXPECT_THAT(err, Not(HasSubstr("\r")));
}

TEST_F(ReporterTest, PercentNeverPassesAHundred) {
  Screen terminal = screen();
  terminal.err_is_terminal = true;
  TerminalReporter reporter(terminal);
  reporter.progress({300, 200, ""});
  EXPECT_THAT(err, HasSubstr("(100%)"));
}

TEST_F(ReporterTest, JsonKeepsStepsWithTheirLinesAndWarnings) {
  JsonReporter reporter(nullptr);
  reporter.step("1.1", "a");
  reporter.info("b");
  reporter.warn("c", "D.");
  nlohmann::ordered_json object;
  reporter.add_to(object);
  EXPECT_EQ(
      object.dump(),
      R"({"steps":[{"number":"1.1","title":"a","lines":["b"]}],"warnings":[{"message":"c","hint":"D."}]})");
}

TEST(TableTest, ColumnsLineUpByDisplayWidth) {
  Table table({{"name", Align::kLeft}, {"bytes", Align::kRight}});
  table.add_row({"\xe4\xb8\xad\xe6\x96\x87", "7"});
  table.add_row({"abcdef", "1234567"});
  EXPECT_EQ(table.to_string(),
            "name      bytes\n------  -------\n\xe4\xb8\xad\xe6\x96\x87          7\nabcdef  1234567\n");
}

TEST(TableTest, CombiningMarksTakeNoColumn) {
  EXPECT_EQ(display_width("e\xcc\x81"), 1);
  EXPECT_EQ(display_width("\xf0\x9f\x90\x98"), 2);
}

TEST(TableTest, ControlCharactersAndBrokenUtf8AreNotPassedOn) {
  EXPECT_EQ(printable("a\x1b[2Jb\xff\xc3"), "a?[2Jb??");
  EXPECT_EQ(printable("\xc2\x9b"), "?");  // CSI in one character
}

TEST(TableTest, ExpandedViewIsPsqls) {
  const std::vector<Record> records = {{{"slot_name", "pgstandby1"}, {"active", "t"}},
                                       {{"slot_name", "x"}, {"active", ""}}};
  EXPECT_EQ(expanded_view(records),
            "-[ RECORD 1 ]+-----------\n"
            "slot_name    | pgstandby1\n"
            "active       | t\n"
            "-[ RECORD 2 ]+-----------\n"
            "slot_name    | x\n"
            "active       |\n");
  EXPECT_EQ(expanded_view({}), "(0 rows)\n");
}

}  // namespace
}  // namespace standfast::cli
