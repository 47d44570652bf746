#include "cli/man_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/command_table.h"

namespace standfast::cli {
namespace {

using testing::HasSubstr;

const ManEdition kEdition = {.version = "0.1.0", .date = "2026-01-31"};

TEST(ManPage, EscapesWhatRoffWouldTakeForItsOwn) {
  EXPECT_EQ(roff_escaped("a\\b"), "a\\eb");
  EXPECT_EQ(roff_escaped("--token-file"), "\\-\\-token\\-file");
  EXPECT_EQ(roff_escaped("server's \"x\""), "server\\(aqs \\(dqx\\(dq");
  EXPECT_EQ(roff_escaped("~/.standfast `a` ^"), "\\(ti/.standfast \\(gaa\\(ga \\(ha");
  EXPECT_EQ(roff_escaped("a\nb\tc"), "a b c");
}

TEST(ManPage, SaysOtherCharactersByTheirNumber) {
  EXPECT_EQ(roff_escaped("\u00e9 \u4e2d \U0001F600"), "\\[u00E9] \\[u4E2D] \\[u1F600]");
  EXPECT_EQ(roff_escaped("a\xff\xe4z"), "a??z");
}

TEST(ManPage, NoLineOfTextBeginsARequest) {
  EXPECT_EQ(roff_paragraph(".SH evil"), "\\&.SH evil\n");
  EXPECT_EQ(roff_paragraph("'br"), "\\(aqbr\n");
  std::string text(74, 'x');
  text += " .pgpass is read";
  EXPECT_EQ(roff_paragraph(text), std::string(74, 'x') + "\n\\&.pgpass is read\n");
  EXPECT_EQ(roff_paragraph(""), "");
}

TEST(ManPage, IsNamedByItsCommand) {
  EXPECT_EQ(man_page_name("primary setup"), "standfast-primary-setup");
  EXPECT_EQ(man_page_name(""), "standfast");
}

TEST(ManPage, HasTheSectionsOfAManualPage) {
  for (const CommandManual& manual : describe_commands(command_table())) {
    const std::string page = man_page(manual, kEdition);
    for (const char* section : {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"}) {
      EXPECT_THAT(page, HasSubstr(std::string(".SH ") + section + "\n")) << manual.path;
    }
  }
}

TEST(ManPage, LongExampleGoesOnBehindABackslash) {
  CommandManual manual;
  manual.path = "x";
  manual.example = "standfast x " + std::string(50, 'a') + " " + std::string(50, 'b');
  EXPECT_THAT(man_page(manual, kEdition),
              HasSubstr(std::string(50, 'a') + " \\e\n    " + std::string(50, 'b') + "\n.EE\n"));
}

TEST(ManPage, OfTheProgramNamesEveryCommand) {
  const std::string page = man_page_of_program(describe_commands(command_table()), kEdition);
  EXPECT_THAT(page, HasSubstr(".TH \"STANDFAST\" 1 \"2026-01-31\" \"Standfast 0.1.0\""));
  EXPECT_THAT(page, HasSubstr("\\fBstandfast\\-primary\\-setup\\fR(1)"));
  EXPECT_THAT(page, HasSubstr("\\fB37\\fR"));
}

}  // namespace
}  // namespace standfast::cli
