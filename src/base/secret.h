// A string that must not be seen: no stream or fmt output, wiped when it goes. reveal() is the one way to its
// bytes, so that a search for reveal() finds every place a password can leak from.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace standfast::base {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  bool empty() const { return text_.empty(); }
  const std::string& reveal() const { return text_; }
  bool operator==(const Secret& other) const { return text_ == other.text_; }

 private:
  void wipe() noexcept;
  std::string text_;
};

}  // namespace standfast::base
