// A doctor's report as text and as json.
//
// Threading: pure functions. What files and servers say is cleaned of control characters on the way
// (table.h).
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "setup/doctor_findings.h"

namespace standfast::cli {

/// The findings under their topics, what is wrong with its reason and remedy, and a sum.
std::string render_doctor(const setup::DoctorReport& report);
nlohmann::ordered_json doctor_as_json(const setup::DoctorReport& report);

}  // namespace standfast::cli
