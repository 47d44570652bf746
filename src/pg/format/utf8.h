// Whether bytes are UTF-8: what json, and so the journal of a clone, can hold.
//
// Threading: a pure function.
#pragma once

#include <string_view>

namespace standfast::pg {

/// Without surrogates, without longer forms than needed, up to U+10FFFF (RFC 3629).
bool is_utf8(std::string_view bytes);

}  // namespace standfast::pg
