// The one table of what can go wrong: a name for the code, the exit code of the program, and the line of the
// manual. Exit codes stay below 126, because a shell, and PostgreSQL's restore_command, give the ones above a
// meaning of their own. Numbers are part of the interface: they are never reused for something else.
#pragma once

// clang-format off
#define STANDFAST_ERROR_TABLE(X)                                                                           \
  X(kFailed,             1, "failed",              "something failed that no other code names")              \
  X(kUsage,              2, "usage",               "the command line is not understood")                     \
  X(kPendingRestart,     3, "pending_restart",     "all is done but a restart of the server, which was not allowed") \
  X(kCancelled,          4, "cancelled",           "interrupted by the user; what had been begun was undone") \
  X(kPermission,         5, "permission",          "the wrong operating system user, or a file that may not be read or written") \
  X(kConnect,            6, "connect",             "the server cannot be reached")                           \
  X(kAuthentication,     7, "authentication",      "the server refuses the login: password, role or pg_hba.conf") \
  X(kVersion,            8, "version",             "a server version that is not supported, or two that do not fit together") \
  X(kTargetRefused,      9, "target_refused",      "the target directory is not one that may be replaced")   \
  X(kPrecondition,      10, "precondition",        "a server is not in the state the command needs")         \
  X(kDiskFull,          11, "disk_full",           "not enough room on a disk")                              \
  X(kIo,                12, "io",                  "the operating system could not read or write a file")    \
  X(kProtocol,          13, "protocol",            "a server or a file says something that cannot be understood") \
  X(kDamaged,           14, "damaged",             "data is damaged: a checksum does not match")             \
  X(kSlot,              15, "slot",                "a replication slot is in use, missing or not usable")    \
  X(kTimeout,           16, "timeout",             "a deadline passed")                                      \
  X(kCertificate,       17, "certificate",         "the server's certificate is not the expected one")       \
  X(kToken,             18, "token",               "the token is malformed")                                 \
  X(kServerControl,     19, "server_control",      "PostgreSQL did not start, stop or promote")              \
  X(kInUse,             20, "in_use",              "a port, a directory or a lock is held by someone else")  \
  X(kSql,               21, "sql",                 "the server answered a statement with an error")          \
  X(kNotStreaming,      30, "not_streaming",       "status: a standby is not streaming")                     \
  X(kLagging,           31, "lagging",             "status: a standby lags past --max-lag")                  \
  X(kSlotLost,          32, "slot_lost",           "status: a slot has lost WAL that its standby needs")     \
  X(kSlotInactive,      33, "slot_inactive",       "status: a slot that nobody uses holds back WAL")         \
  X(kStandbyUnreachable,34, "standby_unreachable", "status: a standby, or another server that was named, cannot be reached")                    \
  X(kReplayPaused,      35, "replay_paused",       "verify: the standby receives WAL but its replay is paused") \
  X(kReplayDelayed,     36, "replay_delayed",      "verify: the standby replays late on purpose (recovery_min_apply_delay)") \
  X(kNotReplicating,    37, "not_replicating",     "verify: what was written on the primary was not seen on the standby")
// clang-format on
