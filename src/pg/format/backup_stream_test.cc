#include "pg/format/backup_stream.h"

#include <gtest/gtest.h>

namespace standfast::pg {
namespace {

using base::Result;

class Recorder final : public BackupHandler {
 public:
  Result<void> begin_archive(const BackupTablespace& tablespace) override {
    log += "[" + (tablespace.oid ? std::to_string(*tablespace.oid) : "base") + ":";
    return base::ok();
  }
  Result<void> archive_bytes(base::Bytes bytes) override {
    log += base::as_text(bytes);
    return base::ok();
  }
  Result<void> end_archive() override {
    log += "]";
    return base::ok();
  }
  Result<void> begin_manifest() override {
    log += "manifest:";
    return base::ok();
  }
  Result<void> manifest_bytes(base::Bytes bytes) override {
    log += base::as_text(bytes);
    return base::ok();
  }
  std::string log;
};

const std::vector<BackupTablespace> kTwo = {{16385, "/mnt/ts", 1000}, {std::nullopt, "", 2000}};
constexpr std::string_view kExpected = "[16385:one two][base:three]manifest:{}";

std::string named(std::string_view archive, std::string_view path) {
  return "n" + std::string(archive) + '\0' + std::string(path) + '\0';
}

/// begin and end of a COPY stand as "(" and ")".
Result<std::string> run(BackupStream::Options options, const std::vector<std::string>& script) {
  Recorder recorder;
  BackupStream stream(std::move(options), recorder);
  for (const std::string& item : script) {
    if (item == "(") {
      TRY(stream.begin_copy());
    } else if (item == ")") {
      TRY(stream.end_copy());
    } else {
      TRY(stream.message(base::as_bytes(item)));
    }
  }
  TRY(stream.finish());
  return recorder.log;
}

const BackupStream::Options kTyped{BackupProtocol::kTypedMessages, ManifestExpected::kYes, kTwo};
const BackupStream::Options kBare{BackupProtocol::kCopyPerArchive, ManifestExpected::kYes, kTwo};
const BackupStream::Options kBareNoManifest{BackupProtocol::kCopyPerArchive, ManifestExpected::kNo, kTwo};

TEST(BackupStream, BothProtocolsGiveTheSameEvents) {
  const std::string progress = std::string("p") + std::string(8, '\0');
  const auto typed = run(kTyped, {"(", named("16385.tar", "/mnt/ts"), "done ", "dtwo", progress,
                                  named("base.tar", ""), "dthree", "m", "d{}", ")"});
  ASSERT_TRUE(typed) << typed.error().message;
  EXPECT_EQ(*typed, kExpected);
  const auto bare = run(kBare, {"(", "one ", "two", ")", "(", "three", ")", "(", "{}", ")"});
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(*bare, kExpected);
  EXPECT_EQ(*run(kBareNoManifest, {"(", "one ", "two", ")", "(", "three", ")"}),
            "[16385:one two][base:three]");
}

TEST(BackupStream, BareBytesAreNeverTakenForTypes) {
  EXPECT_EQ(*run(kBareNoManifest, {"(", "nx", ")", "(", "m", ")"}), "[16385:nx][base:m]");
}

TEST(BackupStream, WhatIsMissingAtTheEndIsAnError) {
  EXPECT_FALSE(run(kTyped, {"(", named("base.tar", ""), "m", ")"})) << "a tablespace";
  EXPECT_FALSE(run(kTyped, {"(", named("base.tar", ""), named("16385.tar", "/mnt/ts"), ")"}))
      << "the manifest";
  EXPECT_FALSE(run(kTyped, {"(", named("base.tar", ""), named("16385.tar", "/mnt/ts"), "m"})) << "the end";
  EXPECT_FALSE(run(kBare, {"(", ")", "(", ")"})) << "the manifest's COPY";
  EXPECT_FALSE(run(kTyped, {}));
}

TEST(BackupStream, WhatWasNotAnnouncedIsAnError) {
  EXPECT_FALSE(run(kTyped, {"(", named("16386.tar", "/x")}));
  EXPECT_FALSE(run(kTyped, {"(", named("base.tar", ""), named("base.tar", "")})) << "twice";
  EXPECT_FALSE(run(kTyped, {"(", "dcontent before an archive"}));
  EXPECT_FALSE(run(kTyped, {"(", "m", named("base.tar", "")})) << "an archive after the manifest";
  EXPECT_FALSE(run(kTyped, {"(", "m", "m"}));
  EXPECT_FALSE(run(kTyped, {"(", "nbase.tar"})) << "no zero at the end";
  EXPECT_FALSE(run(kTyped, {"(", "z"}));
  EXPECT_FALSE(run(kTyped, {"(", "p123"}));
  EXPECT_FALSE(run(kTyped, {"(", ""}));
  EXPECT_FALSE(run(kTyped, {"dx"})) << "outside a COPY";
  EXPECT_FALSE(run(kTyped, {"(", ")", "("})) << "a COPY too many";
  EXPECT_FALSE(run(kBareNoManifest, {"(", ")", "(", ")", "("}));
  EXPECT_FALSE(run(kTyped, {"(", "("}));
  EXPECT_FALSE(run(kTyped, {")"}));
}

}  // namespace
}  // namespace standfast::pg
