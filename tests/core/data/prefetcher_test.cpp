#include "data/prefetcher.h"

#include "core/data/fake_data.h"

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <future>

namespace bissl::host {
namespace {

using test::source_of;
using test::unlabelled;

std::shared_ptr<const BatchSource> source() {
  return source_of(unlabelled(10), {.batch = 3, .views = 2, .seed = 5, .purpose = "test"});
}

class PrefetcherThreads : public testing::TestWithParam<int> {};

TEST_P(PrefetcherThreads, GiveTheSourcesBatchesInOrder) {
  for (const int64_t first : {0, 17}) {
    Prefetcher prefetcher(source(), first, -1, GetParam());
    const auto expected = source();
    for (int64_t number = first; number < first + 50; ++number) {
      ASSERT_TRUE(test::equal(prefetcher.next().views, expected->make(number).views)) << number;
    }
  }
}

TEST_P(PrefetcherThreads, StopAtTheEnd) {
  Prefetcher prefetcher(source(), 2, 5, GetParam());
  for (int64_t number = 2; number < 5; ++number) {
    EXPECT_TRUE(test::equal(prefetcher.next().views, source()->make(number).views));
  }
  try {
    prefetcher.next();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::run);
    EXPECT_STREQ(error.what(), "batch 5 was asked for, but the loader was to stop before 5");
  }
}

TEST_P(PrefetcherThreads, NothingToDoIsNoHarm) {
  Prefetcher prefetcher(source(), 4, 4, GetParam());
  EXPECT_THROW(prefetcher.next(), Error);
}

TEST_P(PrefetcherThreads, AnErrorComesOutWithItsOwnBatch) {
  const auto dataset = unlabelled(10);
  dataset->broken_sample = 7;
  Prefetcher prefetcher(
      source_of(dataset, {.batch = 3, .order = Order::sequential, .purpose = "test"}), 0, 4,
      GetParam());
  EXPECT_EQ(test::samples(prefetcher.next()), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(test::samples(prefetcher.next()), (std::vector<int64_t>{3, 4, 5}));
  EXPECT_EQ(test::error_of([&] { prefetcher.next(); }), "sample 7 is damaged");
}

TEST_P(PrefetcherThreads, MayBeDroppedAtAnyTime) {
  // In a thread, so that a deadlock is a failure of this test alone.
  auto done = std::async(std::launch::async, [threads = GetParam()] {
    for (int64_t taken = 0; taken < 4; ++taken) {
      for (int repeat = 0; repeat < 20; ++repeat) {
        Prefetcher prefetcher(source(), 0, repeat % 2 == 0 ? -1 : 6, threads);
        for (int64_t i = 0; i < taken; ++i) {
          prefetcher.next();
        }
      }
    }
  });
  ASSERT_EQ(done.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  done.get();
}

INSTANTIATE_TEST_SUITE_P(Loader, PrefetcherThreads, testing::Values(0, 1, 3));

TEST(Prefetcher, WorksAheadButNotWithoutBounds) {
  const auto augmentation = std::make_shared<test::FakeAugmentation>();
  const auto counted = std::make_shared<const BatchSource>(
      std::make_shared<const DataView>(unlabelled(10), SelectionOptions{}), augmentation, "augment",
      BatchOptions{.batch = 1, .purpose = "test"});
  Prefetcher prefetcher(counted, 0, -1, 2);
  // Two threads hold at most three batches ready.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (augmentation->calls < 3 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(augmentation->calls, 3);
}

/// Notes under which of the system's policies it is called.
class WatchedAugmentation : public test::FakeAugmentation {
 public:
  ViewGeometry apply(const Image& image, int64_t view, RandomStream& stream,
                     std::span<float> output) const override {
    policy = ::sched_getscheduler(0);
    return FakeAugmentation::apply(image, view, stream, output);
  }
  mutable std::atomic<int> policy = -1;
};

TEST(Prefetcher, ThreadsThatWakeUpDoNotTakeTheCoreFromThoseThatCompute) {
  if (::sched_getscheduler(0) != SCHED_OTHER) {
    GTEST_SKIP() << "the test was started with a policy of its own";
  }
  bool allowed = false;
  std::thread([&allowed] {
    const sched_param parameters{};
    allowed = ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &parameters) == 0;
  }).join();
  if (!allowed) {
    GTEST_SKIP() << "the system does not allow it";
  }
  const auto augmentation = std::make_shared<WatchedAugmentation>();
  const auto watched = std::make_shared<const BatchSource>(
      std::make_shared<const DataView>(unlabelled(4), SelectionOptions{}), augmentation, "augment",
      BatchOptions{.batch = 1, .purpose = "test"});
  Prefetcher prefetcher(watched, 0, 2, 1);
  prefetcher.next();
  EXPECT_EQ(augmentation->policy, SCHED_BATCH);
  EXPECT_EQ(::sched_getscheduler(0), SCHED_OTHER) << "of the thread that trains";
}

}  // namespace
}  // namespace bissl::host
