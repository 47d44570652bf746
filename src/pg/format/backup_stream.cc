#include "pg/format/backup_stream.h"

#include <algorithm>

#include <fmt/format.h>

namespace standfast::pg {
namespace {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Result;

Error unexpected(std::string_view what) {
  return {ErrorCode::kProtocol, fmt::format("the server's backup stream is not understood: {}", what)};
}

/// The name the server gives an archive in its 'n' message.
std::string archive_name_of(const BackupTablespace& tablespace) {
  return tablespace.oid ? fmt::format("{}.tar", *tablespace.oid) : "base.tar";
}

}  // namespace

BackupStream::BackupStream(Options options, BackupHandler& handler)
    : options_(std::move(options)), handler_(handler), seen_(options_.tablespaces.size(), false) {}

std::size_t BackupStream::copy_count() const {
  if (options_.protocol == BackupProtocol::kTypedMessages) return 1;
  return options_.tablespaces.size() + (options_.manifest == ManifestExpected::kYes ? 1 : 0);
}

Result<void> BackupStream::begin_copy() {
  if (state_ != State::kBetween || copies_begun_ == copy_count()) return unexpected("a COPY too many");
  const std::size_t index = copies_begun_++;
  if (options_.protocol == BackupProtocol::kTypedMessages) {
    state_ = State::kBeforeArchive;
    return base::ok();
  }
  return index < options_.tablespaces.size() ? begin_archive(index) : begin_manifest();
}

Result<void> BackupStream::message(Bytes message) {
  if (state_ == State::kBetween) return unexpected("data outside a COPY");
  return options_.protocol == BackupProtocol::kTypedMessages ? typed_message(message) : content(message);
}

Result<void> BackupStream::end_copy() {
  if (state_ == State::kBetween) return unexpected("the end of a COPY that did not begin");
  TRY(end_archive_if_open());
  state_ = State::kBetween;
  return base::ok();
}

Result<void> BackupStream::finish() {
  if (state_ != State::kBetween) return unexpected("it ends inside a COPY");
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (!seen_[i]) return unexpected("archive " + archive_name_of(options_.tablespaces[i]) + " is missing");
  }
  if (options_.manifest == ManifestExpected::kYes && !manifest_seen_) {
    return unexpected("the manifest is missing");
  }
  return base::ok();
}

Result<void> BackupStream::typed_message(Bytes message) {
  if (message.empty()) return unexpected("an empty message");
  const Bytes rest = message.subspan(1);
  switch (static_cast<char>(message[0])) {
    case 'n':
      return new_archive(rest);
    case 'm':
      return begin_manifest();
    case 'd':
      return content(rest);
    case 'p':
      // How far the server is, in bytes of its own count. What has arrived here says the same.
      if (rest.size() != sizeof(std::uint64_t)) return unexpected("a progress message of the wrong size");
      return base::ok();
    default:
      return unexpected(fmt::format("a message of kind {:#04x}", static_cast<unsigned>(message[0])));
  }
}

Result<void> BackupStream::new_archive(Bytes content) {
  base::ByteReader reader(content);
  const auto name = reader.c_string();
  const auto path = reader.c_string();
  if (!name || !path) return unexpected("the name of an archive is cut off");
  for (std::size_t i = 0; i < options_.tablespaces.size(); ++i) {
    if (archive_name_of(options_.tablespaces[i]) == *name) return begin_archive(i);
  }
  return unexpected("an archive that was not announced");
}

Result<void> BackupStream::begin_archive(std::size_t index) {
  if (seen_[index]) return unexpected("an archive comes twice");
  if (manifest_seen_) return unexpected("an archive after the manifest");
  TRY(end_archive_if_open());
  seen_[index] = true;
  state_ = State::kArchive;
  return handler_.begin_archive(options_.tablespaces[index]);
}

Result<void> BackupStream::begin_manifest() {
  if (options_.manifest == ManifestExpected::kNo || manifest_seen_) return unexpected("a manifest too many");
  TRY(end_archive_if_open());
  manifest_seen_ = true;
  state_ = State::kManifest;
  return handler_.begin_manifest();
}

Result<void> BackupStream::end_archive_if_open() {
  if (state_ != State::kArchive) return base::ok();
  state_ = State::kBeforeArchive;
  return handler_.end_archive();
}

Result<void> BackupStream::content(Bytes bytes) {
  if (state_ == State::kArchive) return handler_.archive_bytes(bytes);
  if (state_ == State::kManifest) return handler_.manifest_bytes(bytes);
  return unexpected("content before its archive");
}

}  // namespace standfast::pg
