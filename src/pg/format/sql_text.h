// Names and values put into SQL text, where a parameter cannot stand (CREATE ROLE, replication commands).
//
// Threading: pure functions. Invariant: the quoted text is one token for any input. Zero bytes cannot be
// written in SQL at all; giving one is a broken invariant of the caller.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace standfast::pg {

/// Always in double quotes, so that case, blanks and keywords keep their meaning as a name.
std::string quote_identifier(std::string_view name);
/// In single quotes; with backslashes as E'...', which reads the same whatever standard_conforming_strings
/// says.
std::string quote_literal(std::string_view value);
/// The name itself if it may be a replication slot's (ReplicationSlotValidateName): lower-case letters,
/// digits and underscores, at most 63; kUsage otherwise.
base::Result<std::string> valid_slot_name(std::string_view name);

}  // namespace standfast::pg
