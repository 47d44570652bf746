#include "cli/doctor_view.h"

#include <fmt/format.h>

#include "cli/table.h"

namespace standfast::cli {
namespace {

using nlohmann::ordered_json;
using setup::DoctorFinding;
using setup::Health;

constexpr auto kFromWorst = {Health::kWrong, Health::kRisk, Health::kUnknown, Health::kWell};

std::string render_finding(const DoctorFinding& finding) {
  std::string text = fmt::format("  {:<7}  {}\n", setup::name_of(finding.health), printable(finding.what));
  if (finding.health == Health::kWell) return text;
  if (!finding.why.empty()) text += fmt::format("           why: {}\n", printable(finding.why));
  if (!finding.what_to_do.empty()) text += fmt::format("           do:  {}\n", printable(finding.what_to_do));
  return text;
}

}  // namespace

std::string render_doctor(const setup::DoctorReport& report) {
  std::string text;
  if (!report.data_directory.empty()) {
    text += fmt::format("{}: {}\n", printable(report.data_directory), printable(report.server));
  }
  std::string topic;
  for (const DoctorFinding& finding : report.findings) {
    if (finding.topic != topic) {
      topic = finding.topic;
      text += fmt::format("\n{}\n", topic);
    }
    text += render_finding(finding);
  }
  text += "\n";
  std::string sum;
  for (const Health health : kFromWorst) {
    const std::size_t count = report.count(health);
    if (count > 0) sum += fmt::format("{}{} {}", sum.empty() ? "" : ", ", count, setup::name_of(health));
  }
  return text + sum + "\n";
}

ordered_json doctor_as_json(const setup::DoctorReport& report) {
  ordered_json json = {{"verdict", setup::name_of(report.worst())}, {"exit_code", report.exit_code()}};
  json["data_directory"] =
      report.data_directory.empty() ? ordered_json() : ordered_json(report.data_directory);
  json["server"] = report.server.empty() ? ordered_json() : ordered_json(report.server);
  for (const Health health : kFromWorst)
    json["counts"][std::string(setup::name_of(health))] = report.count(health);
  json["findings"] = ordered_json::array();
  for (const DoctorFinding& finding : report.findings) {
    json["findings"].push_back({{"state", setup::name_of(finding.health)},
                                {"topic", finding.topic},
                                {"check", finding.check},
                                {"what", finding.what},
                                {"why", finding.why},
                                {"what_to_do", finding.what_to_do}});
  }
  return json;
}

}  // namespace standfast::cli
