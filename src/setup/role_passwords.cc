#include "setup/role_passwords.h"

#include <algorithm>

#include "setup/names.h"
#include "setup/scram.h"

namespace standfast::setup {
namespace {

using base::Result;

const base::Secret* find_entry(const std::vector<pg::PassfileEntry>& entries, const std::string& role) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.user == role; });
  return found == entries.end() ? nullptr : &found->password;
}

Result<base::Secret> render(const std::vector<pg::PassfileEntry>& entries) {
  std::string text;
  for (const auto& entry : entries) {
    const base::Secret line = TRY(pg::render_passfile_line(entry));
    text += line.reveal() + "\n";
  }
  return base::Secret(std::move(text));
}

}  // namespace

Result<PasswordFile> PasswordFile::read(const client::SecretStore& store, pg::SystemId system_id) {
  PasswordFile file(store, system_id);
  if (const auto text = TRY(store.read(system_id, kPrimaryPassfile))) {
    file.current_ = pg::parse_passfile(text->reveal());
  }
  if (const auto text = TRY(store.read(system_id, kNextPrimaryPassfile))) {
    file.next_ = pg::parse_passfile(text->reveal());
  }
  file.wanted_ = file.current_;
  return file;
}

std::vector<base::Secret> PasswordFile::candidates(const std::string& role) const {
  std::vector<base::Secret> found;
  for (const auto* entries : {&next_, &current_}) {
    if (const base::Secret* password = find_entry(*entries, role)) found.push_back(*password);
  }
  for (const pg::PassfileEntry& entry : others_) {
    if (entry.user == role) found.push_back(entry.password);
  }
  return found;
}

bool PasswordFile::holds(const std::string& role, const base::Secret& password) const {
  const base::Secret* held = find_entry(current_, role);
  return held != nullptr && *held == password;
}

void PasswordFile::announce(const std::string& role, const base::Secret& password) {
  pg::PassfileEntry entry;
  entry.user = role;
  entry.password = password;
  std::erase_if(wanted_, [&](const auto& one) { return one.user == role; });
  wanted_.push_back(std::move(entry));
}

Result<void> PasswordFile::write_announced() {
  TRY(store_->write(system_id_, kNextPrimaryPassfile, TRY(render(wanted_))));
  return base::ok();
}

Result<void> PasswordFile::settle() {
  TRY(store_->write(system_id_, kPrimaryPassfile, TRY(render(wanted_))));
  TRY(store_->remove(system_id_, kNextPrimaryPassfile));
  current_ = wanted_;
  next_.clear();
  return base::ok();
}

PasswordFinding find_password_of(const std::string& role, const base::Secret& stored,
                                 const std::optional<base::Secret>& given,
                                 const std::vector<base::Secret>& candidates) {
  PasswordFinding finding;
  // The one the user gave counts alone: he means it, right or wrong.
  const std::vector<base::Secret> tried = given ? std::vector<base::Secret>{*given} : candidates;
  if (!tried.empty()) finding.state = given ? PasswordState::kGivenDiffers : PasswordState::kChanged;
  for (const auto& password : tried) {
    const auto match = match_password(stored, role, password);
    // A stored form that is not known is a password that is not known.
    if (!match || *match == PasswordMatch::kNo) continue;
    finding.state = *match == PasswordMatch::kYes ? PasswordState::kKnown : PasswordState::kKnownAsMd5;
    finding.password = password;
    break;
  }
  return finding;
}

}  // namespace standfast::setup
