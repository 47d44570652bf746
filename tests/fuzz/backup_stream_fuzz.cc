// The copy messages of both protocols: whatever order they come in, the handler's calls are balanced, no
// archive comes twice, and a stream that is accepted had all of them. An input is a script of lines: "(" and
// ")" begin and end a COPY, anything else is a message.
#include <set>
#include <string>

#include "fuzz_input.h"
#include "pg/format/backup_stream.h"

namespace {

namespace base = standfast::base;
namespace pg = standfast::pg;

class Checker final : public pg::BackupHandler {
 public:
  base::Result<void> begin_archive(const pg::BackupTablespace& tablespace) override {
    CHECK(!archive_ && !manifest_);
    CHECK(seen.insert(tablespace.oid.value_or(0)).second);
    archive_ = true;
    return base::ok();
  }
  base::Result<void> archive_bytes(base::Bytes) override {
    CHECK(archive_);
    return base::ok();
  }
  base::Result<void> end_archive() override {
    CHECK(archive_);
    archive_ = false;
    return base::ok();
  }
  base::Result<void> begin_manifest() override {
    CHECK(!archive_ && !manifest_);
    manifest_ = true;
    return base::ok();
  }
  base::Result<void> manifest_bytes(base::Bytes) override {
    CHECK(manifest_);
    return base::ok();
  }
  void check_complete(bool with_manifest) const { CHECK(!archive_ && manifest_ == with_manifest); }
  std::set<std::uint32_t> seen;

 private:
  bool archive_ = false;
  bool manifest_ = false;
};

base::Result<void> play(pg::BackupStream& stream, std::string_view script) {
  while (!script.empty()) {
    const std::string_view line = standfast::fuzz::take_until(script, '\n');
    if (line == "(") {
      TRY(stream.begin_copy());
    } else if (line == ")") {
      TRY(stream.end_copy());
    } else {
      TRY(stream.message(base::as_bytes(line)));
    }
  }
  return stream.finish();
}

void run(pg::BackupProtocol protocol, pg::ManifestExpected manifest, std::string_view script) {
  Checker checker;
  pg::BackupStream stream({protocol, manifest, {{16385, "/mnt/ts", 1}, {std::nullopt, "", 2}}}, checker);
  if (!play(stream, script)) return;
  CHECK(checker.seen.size() == 2);
  checker.check_complete(manifest == pg::ManifestExpected::kYes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view script = standfast::fuzz::as_text(data, size);
  run(pg::BackupProtocol::kTypedMessages, pg::ManifestExpected::kYes, script);
  run(pg::BackupProtocol::kCopyPerArchive, pg::ManifestExpected::kYes, script);
  run(pg::BackupProtocol::kCopyPerArchive, pg::ManifestExpected::kNo, script);
  return 0;
}
