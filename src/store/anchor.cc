#include "store/anchor.h"

#include <fmt/format.h>

#include "base/number.h"

namespace standfast::store {
namespace {

using base::Result;

constexpr std::string_view kName = "standfast.anchors";
constexpr std::string_view kMagic = "standfast anchors 1";
constexpr std::uint64_t kMaxBytes = 1U << 20U;

std::optional<std::string_view> take_word(std::string_view& text) {
  const std::size_t end = text.find_first_of(" \n");
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end + 1);
  return word;
}

}  // namespace

std::string encode_anchors(const Anchors& anchors) {
  std::string text = fmt::format("{}\n", kMagic);
  for (const wal::UnprovenRange& anchor : anchors) {
    text += fmt::format("{} {} {} {:08x}\n", anchor.timeline.value(), anchor.start.to_string(),
                        anchor.end.to_string(), anchor.checksum);
  }
  return text;
}

Anchors parse_anchors(std::string_view text) {
  if (!text.starts_with(kMagic) || text.size() <= kMagic.size() || text[kMagic.size()] != '\n') return {};
  text.remove_prefix(kMagic.size() + 1);
  Anchors anchors;
  while (!text.empty() && anchors.size() < kMaxAnchors) {
    const auto timeline = pg::TimelineId::parse(take_word(text).value_or(""));
    const auto start = pg::Lsn::parse(take_word(text).value_or(""));
    const auto end = pg::Lsn::parse(take_word(text).value_or(""));
    const auto checksum = base::parse_number<std::uint32_t>(take_word(text).value_or(""), 16);
    if (!timeline || !start || !end || !checksum || *end <= *start) return {};
    anchors.push_back({*timeline, *start, *end, *checksum});
  }
  return anchors;
}

Result<void> write_anchors(env::FileSystem& files, const std::string& folder, const Anchors& anchors,
                           mode_t mode) {
  return env::write_file_durably(files, folder + "/" + std::string(kName), encode_anchors(anchors),
                                 {.mode = mode});
}

Result<Anchors> read_anchors(env::FileSystem& files, const std::string& folder) {
  const std::string path = folder + "/" + std::string(kName);
  if (!TRY(files.inspect(path))) return Anchors();
  return parse_anchors(TRY(env::read_whole_file(files, path, kMaxBytes)));
}

}  // namespace standfast::store
