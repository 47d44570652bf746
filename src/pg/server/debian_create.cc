#include "pg/server/debian_create.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "env/process.h"
#include "pg/format/conf_file.h"

namespace standfast::server {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;

constexpr std::string_view kMarkerSuffix = ".standfast-create";
constexpr std::string_view kSaysNothing = "nothing was there";
constexpr std::string_view kSaysEmptyFolder = "an empty folder was there";
constexpr auto kTakeBackTimeout = base::Seconds(60);
constexpr std::uint64_t kMaxCommandLineBytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t kMaxMarkerBytes = 4096;
constexpr std::size_t kMaxSaidBytes = 300;

std::string marker_of(const std::string& data_directory) {
  return data_directory + std::string(kMarkerSuffix);
}

/// The line that says what went wrong: the last "Error:" or "error:", else the first.
std::string reason_in(const std::string& said) {
  std::size_t at = said.rfind("rror: ");
  at = at == std::string::npos ? 0 : at + 6;
  const std::string line = said.substr(at, said.find('\n', at) - at);
  return line.substr(0, kMaxSaidBytes);
}

Result<void> run_program(const std::vector<std::string>& argv, const env::Wait& wait) {
  // PG_CLUSTER_CONF_ROOT and PGSYSCONFDIR would send them to other folders.
  const auto result = TRY(env::run_command(
      {.argv = argv, .set_env = {{"LC_ALL", "C"}}, .environment = env::ChildEnvironment::kWithoutPostgres},
      wait));
  if (result.exit_code == 0) return base::ok();
  const std::string reason = reason_in(result.errors.empty() ? result.output : result.errors);
  const bool lacks_rights = result.errors.find("root privileges") != std::string::npos ||
                            result.errors.find("ermission denied") != std::string::npos;
  const std::string program = env::base_name_of(argv.front());
  return Error(lacks_rights ? ErrorCode::kPermission : ErrorCode::kServerControl,
               fmt::format("{} failed: {}", program, reason),
               lacks_rights ? fmt::format("Debian lets user \"postgres\" do this: run this as root or as "
                                          "postgres, or do it first as root: {}",
                                          fmt::join(argv, " "))
                            : fmt::format("This was run: {}", fmt::join(argv, " ")));
}

/// The words of a command line of /proc.
std::vector<std::string> words_of(std::string_view command_line) {
  std::vector<std::string> words;
  while (!command_line.empty()) {
    const std::size_t end = std::min(command_line.find('\0'), command_line.size());
    words.emplace_back(command_line.substr(0, end));
    command_line.remove_prefix(std::min(end + 1, command_line.size()));
  }
  return words;
}

/// What a program that makes or drops a cluster is known by: the one that drops is not told the directory.
struct Whose {
  const DebianName& cluster;
  const std::string& directory;
};

bool works_on(const std::vector<std::string>& words, const Whose& whose) {
  const auto says = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const auto names_directory = [&](const std::string& word) {
    return word.find(whose.directory) != std::string::npos;
  };
  for (std::size_t i = 0; i < std::min(words.size(), std::size_t{3}); ++i) {  // perhaps behind an interpreter
    const std::string program = env::base_name_of(words[i]);
    if (program == "initdb" || program == "pg_createcluster")
      return std::any_of(words.begin(), words.end(), names_directory);
    if (program == "pg_dropcluster")
      return says(std::to_string(whose.cluster.major)) && says(whose.cluster.name);
  }
  return false;
}

/// Whether such a program still works on this cluster: that of a run that was killed.
Result<bool> has_a_program(env::FileSystem& files, const Whose& whose) {
  for (const std::string& name : TRY(files.list("/proc"))) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto line = env::read_whole_file(files, "/proc/" + name + "/cmdline", kMaxCommandLineBytes);
    if (line && works_on(words_of(*line), whose)) return true;
  }
  return false;
}

Result<void> wait_for_programs(env::FileSystem& files, const Whose& whose, const env::Wait& wait) {
  while (TRY(has_a_program(files, whose))) {
    const auto next = base::Deadline::after(base::Milliseconds(100)).earlier(wait.deadline);
    if (env::wait_for(-1, 0, {next, wait.stop}) == env::Ready::kStopped) return env::cancelled_error();
    if (wait.deadline.passed()) {
      return Error(ErrorCode::kInUse, fmt::format("a program still works in \"{}\"", whose.directory),
                   "An earlier run started it; wait until it is done, then run this again.");
    }
  }
  return base::ok();
}

/// What was there before pg_createcluster: an empty folder may be a mount point, and stays.
enum class Before { kNothing, kEmptyFolder };

/// Removes a data directory that was being made, and what its pg_wal leads to: never one that a server has
/// run on.
Result<void> remove_fresh_directory(env::FileSystem& files, const std::string& directory, Before before) {
  if (!TRY(files.inspect(directory))) return base::ok();
  if (TRY(files.inspect(directory + "/postmaster.opts"))) {
    return Error(ErrorCode::kTargetRefused,
                 fmt::format("\"{}\" was to be taken back, but a server has run on it", directory),
                 fmt::format("If all is well with that cluster, remove \"{}\" and run this again.",
                             marker_of(directory)));
  }
  // createcluster.conf may have put the WAL elsewhere; initdb only takes a folder that was empty.
  const auto wal = files.read_symlink(directory + "/pg_wal");
  if (before == Before::kEmptyFolder) {
    for (const std::string& name : TRY(files.list(directory))) {
      TRY(env::remove_tree(files, directory + "/" + name));
    }
  } else {
    TRY(env::remove_tree(files, directory));
  }
  return wal && TRY(files.inspect(*wal)) ? env::remove_tree(files, *wal) : base::ok();
}

struct Mark {
  DebianName name;
  Before before = Before::kNothing;
};

std::string text_of(const Mark& mark) {
  return fmt::format("{}\n{}\n", mark.name.to_string(),
                     mark.before == Before::kEmptyFolder ? kSaysEmptyFolder : kSaysNothing);
}

std::optional<Mark> parse_mark(const std::string& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const auto name = parse_debian_name(text.substr(0, end));
  if (!name) return std::nullopt;
  const bool was_there = text.find(kSaysEmptyFolder, end) != std::string::npos;
  return Mark{*name, was_there ? Before::kEmptyFolder : Before::kNothing};
}

/// pg_dropcluster removes the data directory with all that lies in it. One that was there before is not its
/// business: the configuration that was made for it says another, of which there is none.
Result<void> drop_configuration(env::FileSystem& files, const Mark& mark, const std::string& folder,
                                const std::string& directory, const env::Wait& wait,
                                const DebianPlaces& places) {
  const std::string path = folder + "/postgresql.conf";
  if (mark.before == Before::kEmptyFolder && TRY(files.inspect(path))) {
    auto conf = TRY(pg::ConfFile::parse(TRY(env::read_whole_file(files, path, pg::kMaxConfFileBytes))));
    conf.set("data_directory", marker_of(directory) + ".none");
    TRY(env::write_file_durably(files, path, conf.to_text(), {.mode = 0644}));
  }
  TRY(run_program({places.programs + "/pg_dropcluster", std::to_string(mark.name.major), mark.name.name},
                  wait));
  // It also removes an empty folder in its default place.
  if (mark.before == Before::kEmptyFolder && !TRY(files.inspect(directory))) {
    TRY(env::make_directories(files, env::parent_of(directory), 0755));
    TRY(files.make_directory(directory, 0700));
  }
  return base::ok();
}

Result<void> take_back(env::FileSystem& files, const Mark& mark, const std::string& directory,
                       const env::Wait& wait, const DebianPlaces& places) {
  TRY(wait_for_programs(files, {mark.name, directory}, wait));
  TRY(remove_fresh_directory(files, directory, mark.before));
  const std::string folder =
      fmt::format("{}/{}/{}", places.configuration_root, mark.name.major, mark.name.name);
  if (TRY(files.inspect(folder))) TRY(drop_configuration(files, mark, folder, directory, wait, places));
  if (TRY(files.inspect(marker_of(directory)))) TRY(files.remove_file(marker_of(directory)));
  // As pg_dropcluster does: the folder of a version goes with its last cluster.
  if (debian_name_of_place(files, directory, places) == mark.name) {
    static_cast<void>(files.remove_directory(env::parent_of(directory)));
  }
  return base::ok();
}

Result<Before> refuse_what_is_there(env::FileSystem& files, const DebianCreation& creation,
                                    const DebianPlaces& places) {
  if (const auto there = registered_debian_cluster(files, creation.name, places)) {
    return Error(ErrorCode::kPrecondition,
                 fmt::format("Debian has a cluster {} already, in \"{}\"", creation.name.to_string(),
                             there->configuration_directory),
                 "Name another with --cluster, or its data directory with -D.");
  }
  const auto info = TRY(files.inspect_following(creation.data_directory));
  if (!info) return Before::kNothing;
  if (info->kind == env::FileKind::kDirectory &&
      TRY(env::is_empty_directory(files, creation.data_directory))) {
    return Before::kEmptyFolder;
  }
  return Error(ErrorCode::kTargetRefused, fmt::format("\"{}\" is not empty", creation.data_directory),
               "A new cluster needs a directory that is not there yet, or is empty.");
}

using Finish = std::function<Result<void>(Before before)>;

Result<void> create(env::FileSystem& files, const DebianCreation& creation, const Finish& finish,
                    const env::Wait& wait, const DebianPlaces& places) {
  const std::string marker = marker_of(creation.data_directory);
  TRY(take_back_half_made(files, creation.data_directory, wait, places));
  const Mark mark{creation.name, TRY(refuse_what_is_there(files, creation, places))};
  TRY(env::make_directories(files, env::parent_of(creation.data_directory), 0755));
  TRY(env::write_file_durably(files, marker, text_of(mark), {}));
  auto done = run_program(create_arguments(creation, places), wait);
  if (done) done = finish(mark.before);
  if (!done) {
    // Also when this was stopped: what it made is taken back all the same.
    static_cast<void>(
        take_back(files, mark, creation.data_directory, env::Wait::for_at_most(kTakeBackTimeout), places));
    return done;
  }
  TRY(files.remove_file(marker));
  return files.sync_directory(env::parent_of(marker));
}

}  // namespace

std::vector<std::string> create_arguments(const DebianCreation& creation, const DebianPlaces& places) {
  std::vector<std::string> argv = {places.programs + "/pg_createcluster", "--no-status", "-d",
                                   creation.data_directory};
  if (creation.port) argv.insert(argv.end(), {"-p", std::to_string(*creation.port)});
  if (creation.socket_directory) argv.insert(argv.end(), {"-s", *creation.socket_directory});
  argv.insert(argv.end(), {"--locale", creation.locale.empty() ? "C" : creation.locale, "-e", "UTF8",
                           std::to_string(creation.name.major), creation.name.name, "--", "-k"});
  if (!creation.superuser.empty()) argv.insert(argv.end(), {"-U", creation.superuser});
  return argv;
}

Result<void> create_debian_cluster(env::FileSystem& files, const DebianCreation& creation,
                                   const std::function<Result<void>()>& finish, const env::Wait& wait,
                                   const DebianPlaces& places) {
  return create(
      files, creation, [&](Before) { return finish(); }, wait, places);
}

Result<void> register_debian_cluster(env::FileSystem& files, const DebianCreation& creation,
                                     const env::Wait& wait, const DebianPlaces& places) {
  return create(
      files, creation,
      [&](Before before) { return remove_fresh_directory(files, creation.data_directory, before); }, wait,
      places);
}

Result<void> unregister_debian_cluster(env::FileSystem& files, const DebianName& name,
                                       const std::string& data_directory, const env::Wait& wait,
                                       const DebianPlaces& places) {
  const auto info = TRY(files.inspect_following(data_directory));
  if (info && !TRY(env::is_empty_directory(files, data_directory))) return base::ok();
  return take_back(files, {name, info ? Before::kEmptyFolder : Before::kNothing}, data_directory, wait,
                   places);
}

Result<bool> is_half_made(env::FileSystem& files, const std::string& data_directory) {
  return TRY(files.inspect(marker_of(data_directory))).has_value();
}

Result<void> take_back_half_made(env::FileSystem& files, const std::string& data_directory,
                                 const env::Wait& wait, const DebianPlaces& places) {
  const std::string marker = marker_of(data_directory);
  if (!TRY(files.inspect(marker))) return base::ok();
  const std::string text = TRY(env::read_whole_file(files, marker, kMaxMarkerBytes));
  const auto mark = parse_mark(text);
  if (mark) return take_back(files, *mark, data_directory, wait, places);
  return Error(ErrorCode::kPrecondition, fmt::format("\"{}\" names no cluster", marker),
               "Standfast did not write that; move it away and run this again.");
}

}  // namespace standfast::server
