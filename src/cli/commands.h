// The factories of all subcommands. The table (command_table.h) gives each its name and its place
// in the help.
#pragma once

#include <memory>

#include "cli/command.h"

namespace standfast::cli {

std::unique_ptr<Command> make_agent_command();
std::unique_ptr<Command> make_completion_command();
std::unique_ptr<Command> make_demo_command();
std::unique_ptr<Command> make_doctor_command();
std::unique_ptr<Command> make_help_command();
std::unique_ptr<Command> make_join_command();
std::unique_ptr<Command> make_member_list_command();
std::unique_ptr<Command> make_member_remove_command();
std::unique_ptr<Command> make_primary_setup_command();
std::unique_ptr<Command> make_standby_clone_command();
std::unique_ptr<Command> make_standby_promote_command();
std::unique_ptr<Command> make_standby_rejoin_command();
std::unique_ptr<Command> make_standby_start_command();
std::unique_ptr<Command> make_standby_stop_command();
std::unique_ptr<Command> make_status_command();
std::unique_ptr<Command> make_sync_disable_command();
std::unique_ptr<Command> make_sync_enable_command();
std::unique_ptr<Command> make_sync_show_command();
std::unique_ptr<Command> make_verify_command();
std::unique_ptr<Command> make_wal_get_command();
std::unique_ptr<Command> make_wal_list_command();
std::unique_ptr<Command> make_wal_receive_command();
std::unique_ptr<Command> make_wal_serve_command();
std::unique_ptr<Command> make_wal_verify_command();
std::unique_ptr<Command> make_witness_command();

}  // namespace standfast::cli
