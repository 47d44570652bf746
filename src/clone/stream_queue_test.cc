#include "clone/stream_queue.h"

#include <cstdlib>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

namespace standfast::clone {
namespace {

StreamItem item_of(std::size_t bytes, unsigned char fill) {
  auto* buffer = static_cast<char*>(std::malloc(bytes));
  std::memset(buffer, fill, bytes);
  return {StreamItem::Kind::kMessage, {std::unique_ptr<char, client::OwnedCopy::Free>(buffer), bytes}};
}

base::Deadline soon() {
  return base::Deadline::after(base::Milliseconds(20));
}
base::Deadline late() {
  return base::Deadline::after(base::Seconds(30));
}

TEST(StreamQueue, WhatGoesInComesOutInOrder) {
  StreamQueue queue;
  constexpr int kCount = 5000;
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) {
      StreamItem item = item_of(10'000, static_cast<unsigned char>(i));
      EXPECT_EQ(queue.push(item, late()), StreamQueue::Push::kDone);
    }
    queue.finish();
  });
  int seen = 0;
  for (auto items = queue.take_all(); !items.empty(); items = queue.take_all()) {
    for (const StreamItem& item : items) {
      ASSERT_EQ(item.message.bytes()[0], std::byte(static_cast<unsigned char>(seen)));
      ++seen;
    }
  }
  producer.join();
  EXPECT_EQ(seen, kCount);
}

/// Until the next push has to wait.
void fill(StreamQueue& queue) {
  for (int i = 0; i < 2; ++i) {
    StreamItem large = item_of(kMaxQueuedBytes, 1);
    ASSERT_EQ(queue.push(large, soon()), StreamQueue::Push::kDone);
  }
}

TEST(StreamQueue, AFullQueueHoldsTheProducerAndKeepsItsItem) {
  StreamQueue queue;
  fill(queue);
  StreamItem next = item_of(1, 2);
  EXPECT_EQ(queue.push(next, soon()), StreamQueue::Push::kFull);
  EXPECT_EQ(next.message.size_bytes, 1U);
  ASSERT_NE(next.message.buffer, nullptr);
  EXPECT_EQ(queue.take_all().size(), 1U);
  EXPECT_EQ(queue.push(next, soon()), StreamQueue::Push::kDone);
}

TEST(StreamQueue, ASmallRestComesWithTheEnd) {
  StreamQueue queue;
  StreamItem item = item_of(3, 1);
  ASSERT_EQ(queue.push(item, soon()), StreamQueue::Push::kDone);
  queue.finish();
  EXPECT_EQ(queue.take_all().size(), 1U);
  EXPECT_TRUE(queue.take_all().empty());
}

TEST(StreamQueue, ClosingWakesBothSides) {
  StreamQueue queue;
  fill(queue);
  std::thread closer([&] { queue.close(); });
  StreamItem next = item_of(1, 2);
  EXPECT_EQ(queue.push(next, late()), StreamQueue::Push::kClosed);
  closer.join();
  EXPECT_TRUE(queue.take_all().empty());
  EXPECT_TRUE(queue.is_closed());
}

}  // namespace
}  // namespace standfast::clone
