#include "wal/database_moves.h"

#include <gtest/gtest.h>

#include "wal/wal_builder.h"

namespace standfast::wal {
namespace {

using testing::Placed;
using testing::Record;
using testing::WalBuilder;

constexpr std::uint64_t kSegment = 64U << 10U;
constexpr std::uint8_t kDatabases = 4;

std::string little_endian(std::uint32_t value) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(value >> (8U * static_cast<unsigned>(i)) & 0xFFU);
  return bytes;
}

Record copy_of(std::uint32_t source, std::uint32_t database, std::uint8_t info = 0) {
  return {
      .data = little_endian(database) + little_endian(16384) + little_endian(source) + little_endian(1663),
      .resource_manager = kDatabases,
      .info = info};
}

Record noop(std::size_t data_bytes) {
  Record record;
  record.data.assign(data_bytes, 'd');
  return record;
}

std::optional<DatabaseMove> find(const WalBuilder& builder, pg::Lsn from, std::size_t chunk_bytes = 1000) {
  DatabaseMoves moves({.from = from, .timeline = builder.timeline(), .segment_bytes = kSegment});
  std::string_view bytes = builder.bytes();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(chunk_bytes, bytes.size())))
    moves.feed(base::as_bytes(bytes.substr(0, chunk_bytes)));
  return moves.first();
}

WalBuilder new_builder() {
  return WalBuilder({.segment_bytes = kSegment});
}

TEST(DatabaseMoves, FindsTheFirstInChunksOfAnySize) {
  for (const unsigned filler :
       {10U, 7900U, 8050U, 8080U, 8090U, 8100U, 8110U, 8120U, 8130U, 65340U, 65400U}) {
    WalBuilder builder = new_builder();
    builder.append(noop(filler));
    const pg::Lsn at = builder.append(copy_of(16500, 16500)).start;
    builder.append(copy_of(16501, 16501));
    for (const unsigned chunk : {1U, 7U, 24U, 100U, 8192U, 100000U})
      EXPECT_EQ(find(builder, builder.start(), chunk), (DatabaseMove{at, 16500})) << filler << " " << chunk;
  }
}

TEST(DatabaseMoves, OtherRecordsOfDatabasesDoNotCount) {
  WalBuilder builder = new_builder();
  builder.append(copy_of(1, 16500));             // made of a template
  builder.append(copy_of(16500, 16500, 0x10));   // dropped, or made with its pages logged
  builder.append(copy_of(16500, 16500, 0x20));   // dropped
  builder.append({.data = copy_of(7, 7).data});  // of another resource manager
  builder.append({.data = "short", .resource_manager = kDatabases, .info = 0});
  Record long_one = noop(1000);
  long_one.resource_manager = kDatabases;
  long_one.info = 0;
  builder.append(long_one);
  EXPECT_EQ(find(builder, builder.start()), std::nullopt);
}

TEST(DatabaseMoves, WhatCameBeforeDoesNotCount) {
  WalBuilder builder = new_builder();
  builder.append(copy_of(16500, 16500));
  const pg::Lsn from = builder.append(noop(100)).start;
  EXPECT_EQ(find(builder, from), std::nullopt);
  const pg::Lsn at = builder.append(copy_of(16501, 16501)).start;
  EXPECT_EQ(find(builder, from), (DatabaseMove{at, 16501}));
  EXPECT_EQ(find(builder, at), (DatabaseMove{at, 16501}));
}

TEST(DatabaseMoves, NothingIsFoundBehindDamage) {
  WalBuilder builder = new_builder();
  builder.append(noop(100));
  builder.append(copy_of(16500, 16500));
  std::string bytes = builder.bytes();
  bytes[100] ^= 1;
  DatabaseMoves moves({.from = builder.start(), .timeline = builder.timeline(), .segment_bytes = kSegment});
  moves.feed(base::as_bytes(bytes));
  moves.feed(base::as_bytes(bytes));
  EXPECT_EQ(moves.first(), std::nullopt);
}

}  // namespace
}  // namespace standfast::wal
