#include "env/file_system.h"

#include <filesystem>

namespace standfast::env {

using base::Result;

Result<std::unique_ptr<File>> FileSystem::open_for_direct_reading(const std::string& /*path*/) {
  return std::unique_ptr<File>();
}
Result<std::unique_ptr<File>> FileSystem::open_for_direct_writing(const std::string& /*path*/) {
  return std::unique_ptr<File>();
}

Result<std::string> read_whole_file(FileSystem& files, const std::string& path, std::uint64_t max_bytes) {
  auto file = TRY(files.open_for_reading(path));
  std::string content;
  constexpr std::size_t kChunkBytes = 64U << 10U;
  while (true) {
    const std::size_t before = content.size();
    content.resize(before + kChunkBytes);
    const std::size_t count =
        TRY(file->read_at(before, std::as_writable_bytes(std::span(content).subspan(before))));
    content.resize(before + count);
    if (content.size() > max_bytes) {
      return base::Error(base::ErrorCode::kIo,
                         "file \"" + path + "\" is larger than " + std::to_string(max_bytes) + " bytes");
    }
    if (count < kChunkBytes) return content;
  }
}

Result<void> write_file_durably(FileSystem& files, const std::string& path, std::string_view content,
                                const WriteOptions& options) {
  const std::string temporary = path + ".standfast-tmp";
  // A run that was killed may have left one; it is ours by its name.
  if (TRY(files.inspect(temporary))) TRY(files.remove_file(temporary));
  const auto write = [&]() -> Result<void> {
    auto file = TRY(files.create(temporary, options.mode, OnExisting::kFail));
    if (options.owner || options.group) {
      TRY(files.set_owner(temporary, options.owner.value_or(static_cast<uid_t>(-1)),
                          options.group.value_or(static_cast<gid_t>(-1))));
    }
    TRY(file->write_at(0, base::as_bytes(content)));
    TRY(file->sync());
    TRY(file->close());
    return files.rename_over(temporary, path);
  };
  if (auto written = write(); !written) {
    static_cast<void>(files.remove_file(temporary));
    return written;
  }
  return files.sync_directory(parent_of(path));
}

Result<void> make_directories(FileSystem& files, const std::string& path, mode_t mode) {
  if (const auto info = TRY(files.inspect_following(path))) {
    if (info->kind == FileKind::kDirectory) return base::ok();
    return base::Error(base::ErrorCode::kIo, "\"" + path + "\" is not a directory");
  }
  const std::string parent = parent_of(path);
  if (parent != path) TRY(make_directories(files, parent, mode));
  if (auto made = files.make_directory(path, mode); !made) {
    // Another process may have made it since.
    const auto info = TRY(files.inspect_following(path));
    if (!info || info->kind != FileKind::kDirectory) return made;
  }
  return files.sync_directory(parent);
}

Result<void> remove_tree(FileSystem& files, const std::string& path) {
  const auto info = TRY(files.inspect(path));
  if (!info) return base::ok();
  if (info->kind != FileKind::kDirectory) return files.remove_file(path);
  for (const std::string& name : TRY(files.list(path))) TRY(remove_tree(files, path + "/" + name));
  return files.remove_directory(path);
}

Result<bool> is_empty_directory(FileSystem& files, const std::string& path) {
  return TRY(files.list(path)).empty();
}

std::string parent_of(std::string_view path) {
  const std::string normal = absolute_path(path);
  const std::size_t slash = normal.rfind('/');
  return slash == 0 ? "/" : normal.substr(0, slash);
}

std::string base_name_of(std::string_view path) {
  const std::string normal = absolute_path(path);
  return normal.substr(normal.rfind('/') + 1);
}

std::string absolute_path(std::string_view path) {
  std::error_code error;
  std::string normal = std::filesystem::absolute(path, error).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool is_same_or_inside(std::string_view path, std::string_view folder) {
  const std::string inner = absolute_path(path);
  const std::string outer = absolute_path(folder);
  if (inner == outer || outer == "/") return true;
  return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '/';
}

}  // namespace standfast::env
