#include "bissl/dataset.h"

#include "bissl/hash.h"
#include "bissl/random.h"
#include "conformance/checker.h"
#include "conformance/dataset_samples.h"
#include "conformance/surroundings.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>

namespace bissl::host {
namespace {

using Clock = std::chrono::steady_clock;

/// What large data may cost: a check looks at all samples, or at as many as this time allows.
constexpr auto sweep_time = std::chrono::seconds(3);
/// What finds calls that disturb each other; less where the component has failed already.
constexpr auto thread_time = std::chrono::milliseconds(600);
constexpr auto short_thread_time = std::chrono::milliseconds(100);

void check_images(const Dataset& dataset) {
  for (const int64_t index : some_indices(dataset.size(), 64)) {
    copy_of(dataset, index);
  }
  sweep(dataset.size(), [&](int64_t index) { copy_of(dataset, index); });
}

void require_same_sample(const Dataset& dataset, int64_t index, const SampleCopy& expected,
                         const char* when) {
  const SampleCopy found = copy_of(dataset, index);
  require(found.shape == expected.shape, "sample {} has another size {}", index, when);
  require(found.target == expected.target, "sample {} has another target {}", index, when);
  require(
      found.pixels == expected.pixels,
      "sample {} differs {}; it depends on other calls, or reads memory that was freed or never "
      "written",
      index, when);
}

void check_same(const Checker& checker, const Dataset& dataset) {
  const StirredMemory memory;
  std::vector<int64_t> indices = some_indices(dataset.size(), 64);
  std::map<int64_t, SampleCopy> expected;
  StirredMemory::stir(0x5A);
  for (const int64_t index : indices) {
    expected[index] = copy_of(dataset, index);
  }
  const auto require_all = [&](const Dataset& other, const char* when) {
    for (const int64_t index : indices) {
      require_same_sample(other, index, expected.at(index), when);
    }
  };
  StirredMemory::stir(0xC3);
  for (const int64_t index : indices) {
    require_same_sample(dataset, index, expected.at(index), "at a second call");
    require_same_sample(dataset, index, expected.at(index), "at two calls in a row");
  }
  std::reverse(indices.begin(), indices.end());
  require_all(dataset, "when samples are read backwards");
  StirredMemory::stir(0x81);
  const auto second = checker.make<Dataset>();
  require(second->size() == dataset.size(), "a second instance has {} samples, the first {}",
          second->size(), dataset.size());
  RandomStream stream(4, "conformance/order");
  for (int round = 0; round < 3; ++round) {
    for (size_t i = indices.size(); i > 1; --i) {
      std::swap(indices[i - 1], indices[stream.below(i)]);
    }
    require_all(*second, "in a second instance, read in another order");
    require_all(dataset, "when samples are read in another order");
  }
}

/// Samples that are held while others are read, by this thread and by one that ends.
void check_pixels_stay(const Dataset& dataset) {
  const StirredMemory memory;
  constexpr int64_t most_bytes = int64_t{64} << 20;
  struct Held {
    int64_t index;
    Sample sample;
    std::string hash;
  };
  const auto hash_of = [](const Sample& sample) {
    Hasher hasher;
    hasher.update(sample.image.pixels, static_cast<size_t>(sample.image.bytes()));
    if (const Image& mask = sample.target.mask; mask.pixels != nullptr) {
      hasher.update(mask.pixels, static_cast<size_t>(mask.shape.elements()));
    }
    return hasher.hex();
  };
  std::vector<Held> held;
  int64_t bytes = 0;
  const auto hold = [&](int64_t index) {
    Sample sample = dataset.get(index);
    bytes += sample.image.shape.elements();
    std::string hash = hash_of(sample);
    held.push_back({index, std::move(sample), std::move(hash)});
  };
  const auto require_all = [&](const char* when) {
    for (const Held& one : held) {
      require(hash_of(one.sample) == one.hash,
              "the pixels of sample {} changed {}; keep them as long as the dataset lives, or give "
              "the image an owner that keeps them",
              one.index, when);
    }
  };
  StirredMemory::stir(0x5A);
  for (const int64_t index : some_indices(dataset.size(), 512)) {
    if (bytes > most_bytes) {
      break;
    }
    hold(index);
  }
  StirredMemory::stir(0xC3);
  require_all("while others were read");
  held.clear();
  std::string wrong;
  std::thread([&] {
    try {
      for (const int64_t index : some_indices(dataset.size(), 8)) {
        hold(index);
      }
    } catch (const std::exception& exception) {
      wrong = exception.what();
    }
  }).join();
  require(wrong.empty(), "in another thread: {}", wrong);
  StirredMemory::stir(0x81);
  require_all("when the thread ended that read them");
}

void check_owner(const Checker& checker) {
  const StirredMemory memory;
  auto second = checker.make<Dataset>();
  std::vector<std::pair<Sample, SampleCopy>> held;
  for (const int64_t index : some_indices(second->size(), 8)) {
    Sample sample = second->get(index);
    if (sample.image.owner) {
      held.emplace_back(std::move(sample), copy_of(*second, index));
    }
  }
  second.reset();
  StirredMemory::stir(0xC3);
  for (const auto& [sample, copy] : held) {
    require(std::memcmp(sample.image.pixels, copy.pixels.data(), copy.pixels.size()) == 0,
            "the pixels of an image with an owner changed when its dataset went");
  }
}

void check_threads(const Dataset& dataset, std::chrono::milliseconds time) {
  const std::vector<int64_t> indices = some_indices(dataset.size(), 64);
  std::vector<SampleCopy> expected;
  for (const int64_t index : indices) {
    expected.push_back(copy_of(dataset, index));
  }
  const TargetSpec targets = dataset.targets();
  const std::string fingerprint = dataset.fingerprint();
  const int64_t size = dataset.size();
  const auto end = Clock::now() + time;
  require_in_threads([&](size_t thread) -> std::string {
    for (size_t i = 0; i < 2 * indices.size() || Clock::now() < end; ++i) {
      const size_t place = (i * (2 * thread + 1) + thread) % indices.size();
      if (copy_of(dataset, indices[place]) != expected[place]) {
        return fmt::format("sample {} came out different; share no memory between calls",
                           indices[place]);
      }
      if (copy_of(dataset.target(indices[place])) != expected[place].target) {
        return fmt::format("target({}) came out different", indices[place]);
      }
      if (i % 32 == thread && (dataset.targets() != targets || dataset.size() != size)) {
        return "targets() or size() came out different";
      }
    }
    return dataset.fingerprint() == fingerprint ? "" : "fingerprint() came out different";
  });
}

}  // namespace

void sweep(int64_t size, const std::function<void(int64_t index)>& visit) {
  const auto end = Clock::now() + sweep_time;
  RandomStream stream(3, "conformance/sweep");
  for (const int64_t index : permutation(stream, size)) {
    visit(index);
    if (Clock::now() > end) {
      return;
    }
  }
}

std::vector<int64_t> some_indices(int64_t size, int64_t most) {
  std::set<int64_t> indices;
  for (int64_t i = 0; i < std::min(size, most); ++i) {
    indices.insert(i * (size - 1) / std::max<int64_t>(1, std::min(size, most) - 1));
  }
  return {indices.begin(), indices.end()};
}

SampleCopy copy_of(const Dataset& dataset, int64_t index) {
  const Sample sample = dataset.get(index);
  const Image& image = sample.image;
  require(image.pixels != nullptr, "sample {} has no pixels", index);
  require(image.shape.channels > 0, "sample {} has {} channels; expected at least 1", index,
          image.shape.channels);
  require(image.shape.height > 0 && image.shape.width > 0,
          "sample {} is of {}x{} pixels; expected at least 1x1", index, image.shape.height,
          image.shape.width);
  require(image.type != PixelType::uint16 || reinterpret_cast<uintptr_t>(image.pixels) % 2 == 0,
          "the 16-bit samples of sample {} begin at an odd address", index);
  // Every byte that is promised is read, so one that is not there shows.
  return {image.shape, {image.pixels, image.pixels + image.bytes()}, copy_of(sample.target)};
}

std::string digest_of(const Dataset& dataset, int64_t most_samples) {
  Hasher hasher;
  const TargetSpec spec = dataset.targets();
  hasher.update(
      fmt::format("{} samples, {} {};", dataset.size(), spec.width, to_string(spec.kind)));
  for (const std::string& name : spec.names) {
    hasher.update(name).update(";");
  }
  for (const int64_t index : some_indices(dataset.size(), most_samples)) {
    const SampleCopy copy = copy_of(dataset, index);
    const TargetCopy& target = copy.target;
    hasher.update(fmt::format("{} {}x{}x{};", target.category, copy.shape.channels,
                              copy.shape.height, copy.shape.width));
    hasher.update(target.value_bits.data(), target.value_bits.size() * sizeof(uint32_t));
    hasher.update(target.mask_pixels.data(), target.mask_pixels.size());
    hasher.update(copy.pixels.data(), copy.pixels.size());
  }
  return hasher.hex();
}

void check_dataset(Checker& checker) {
  const auto begin = Clock::now();
  std::shared_ptr<Dataset> dataset;
  std::string digest;
  if (!checker.check("has samples", [&] {
        dataset = checker.make<Dataset>();
        const int64_t size = dataset->size();
        require(size > 0, "size() is {}", size);
        dataset->get(size - 1);
        dataset->get(0);
        require(dataset->size() == size, "size() was {} and is {} after samples were read", size,
                dataset->size());
      })) {
    return;
  }
  if (!checker.check("images have channels, rows and columns, each byte readable",
                     [&] { check_images(*dataset); })) {
    return;
  }
  digest = digest_of(*dataset, 64);
  checker.check("targets are declared soundly, with distinct names, and stay the same",
                [&] { check_declared_targets(checker, *dataset); });
  checker.check("each target is as declared, and target() agrees with get()",
                [&] { check_targets(*dataset); });
  checker.check("a sample is the same each time, from each instance",
                [&] { check_same(checker, *dataset); });
  checker.check("pixels stay where they are as long as the dataset",
                [&] { check_pixels_stay(*dataset); });
  checker.check("an image outlives its dataset if it says so", [&] { check_owner(checker); });
  check_fingerprint(checker, *dataset);
  checker.check("draws from no generator of the process", [&] {
    require_no_draws("the constructor", Generators::all, [&] { checker.make<Dataset>(); });
    require_no_draws("get(), target(), targets() or fingerprint()", Generators::all, [&] {
      digest_of(*dataset, 64);
      dataset->target(0);
      dataset->fingerprint();
    });
  });
  const auto time = checker.failed() ? short_thread_time : thread_time;
  checker.check("several threads read at once", [&] { check_threads(*dataset, time); });
  if (checker.failed()) {
    checker.skip("nothing depends on the time", "not tried, since other checks failed");
    return;
  }
  checker.check("nothing depends on the time", [&] {
    const std::string fingerprint = dataset->fingerprint();
    wait_for_next_second(begin);
    const auto later = checker.make<Dataset>();
    require(later->fingerprint() == fingerprint, "the fingerprint changes with the time");
    require(digest_of(*later, 64) == digest && digest_of(*dataset, 64) == digest,
            "samples or targets() change with the time");
  });
}

}  // namespace bissl::host
