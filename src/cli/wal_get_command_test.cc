// What PostgreSQL reads in the exit code of its restore_command decides whether recovery ends there.
#include <gtest/gtest.h>

#include "cli/commands.h"

namespace standfast::cli {
namespace {

using base::Error;
using base::ErrorCode;

TEST(WalGetCommand, EveryErrorButAnAbsenceStopsRecovery) {
  const auto command = make_wal_get_command();
  for (const ErrorCode code :
       {ErrorCode::kFailed, ErrorCode::kUsage, ErrorCode::kPermission, ErrorCode::kIo, ErrorCode::kDiskFull,
        ErrorCode::kDamaged, ErrorCode::kProtocol, ErrorCode::kPrecondition, ErrorCode::kTimeout}) {
    EXPECT_EQ(command->exit_code_of(Error(code, "x")), 200) << base::name_of(code);
  }
  // As a shell tells of a TERM signal: recovery ends its process without a word.
  EXPECT_EQ(command->exit_code_of(Error(ErrorCode::kCancelled, "x")), 143);
}

}  // namespace
}  // namespace standfast::cli
