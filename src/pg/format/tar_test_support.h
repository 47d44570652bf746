// For tests: archives as the server makes them.
#pragma once

#include <string>

#include <fmt/format.h>

namespace standfast::pg::testing {

struct TarHeaderFields {
  std::string path;
  char kind = '0';
  std::uint64_t size_bytes = 0;
  unsigned mode = 0600;
  std::string link_target = {};
};

/// As tarCreateHeader() and print_tar_number() write it.
inline std::string tar_header(const TarHeaderFields& fields) {
  const auto octal = [](std::uint64_t value, std::size_t width) {
    return fmt::format("{:0{}o} ", value, width - 1);
  };
  std::string header(512, '\0');
  const auto put = [&header](std::size_t at, std::string_view text) {
    header.replace(at, text.size(), text);
  };
  put(0, fields.path);
  put(100, octal(fields.mode, 8));
  put(108, octal(1001, 8));
  put(116, octal(1001, 8));
  if (fields.size_bytes < (std::uint64_t{1} << 33U)) {
    put(124, octal(fields.size_bytes, 12));
  } else {
    std::string wide(12, '\0');
    wide[0] = '\x80';
    for (unsigned i = 0; i < 8; ++i)
      wide[11 - i] = static_cast<char>(static_cast<unsigned char>(fields.size_bytes >> (8 * i)));
    put(124, wide);
  }
  put(136, octal(1'700'000'000, 12));
  put(148, std::string(8, ' '));
  put(156, std::string(1, fields.kind));
  put(157, fields.link_target);
  put(257, std::string_view("ustar\00000", 8));
  put(265, "postgres");
  put(297, "postgres");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, octal(sum, 8));
  return header;
}

inline std::string tar_file(const std::string& path, const std::string& content) {
  const std::string padding((512 - content.size() % 512) % 512, '\0');
  return tar_header({.path = path, .size_bytes = content.size()}) + content + padding;
}

inline std::string tar_directory(const std::string& path) {
  return tar_header({.path = path + "/", .kind = '5', .mode = 0700});
}

inline std::string tar_symlink(const std::string& path, const std::string& target) {
  return tar_header({.path = path, .kind = '2', .mode = 0777, .link_target = target});
}

}  // namespace standfast::pg::testing
