#include "setup/store_passwords.h"

#include <iterator>
#include <utility>

#include "setup/names.h"

namespace standfast::setup {

base::Result<std::vector<pg::PassfileEntry>> passwords_in_store(env::FileSystem& files,
                                                                const client::SecretStore& store,
                                                                pg::SystemId system_id) {
  std::vector<pg::PassfileEntry> found;
  const std::string folder = env::parent_of(store.path_of(system_id, kPrimaryPassfile));
  if (!TRY(files.inspect(folder))) return found;
  constexpr std::string_view kSuffix = ".pgpass";
  for (const std::string& name : TRY(files.list(folder))) {
    if (!name.ends_with(kSuffix) || name.starts_with('.')) continue;
    const auto text = TRY(store.read(system_id, name));
    if (!text) continue;
    auto entries = pg::parse_passfile(text->reveal());
    std::move(entries.begin(), entries.end(), std::back_inserter(found));
  }
  return found;
}

}  // namespace standfast::setup
