#include "data/guarded_dataset.h"

#include "base/json_text.h"
#include "bissl/data_files.h"
#include "bissl/data_notes.h"
#include "bissl/file_sequence.h"
#include "bissl/hash.h"
#include "bissl/sample_names.h"
#include "plugins/guard.h"

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

namespace bissl::host {
namespace {

class GuardedDataFiles final : public GuardedAbility<DataFiles> {
 public:
  using GuardedAbility::GuardedAbility;
  std::vector<DataFile> data_files() const override {
    return call("data_files", [](DataFiles& inner) { return inner.data_files(); });
  }
};

class GuardedFileSequence final : public GuardedAbility<FileSequence> {
 public:
  using GuardedAbility::GuardedAbility;
  int64_t file_count() const override {
    return call("file_count", [](FileSequence& inner) { return inner.file_count(); });
  }
  DataFile data_file(int64_t place) const override {
    return call("data_file", [&](FileSequence& inner) { return inner.data_file(place); });
  }
};

class GuardedSampleNames final : public GuardedAbility<SampleNames> {
 public:
  using GuardedAbility::GuardedAbility;
  std::string sample_name(int64_t index) const override {
    return call("sample_name", [&](SampleNames& inner) { return inner.sample_name(index); });
  }
};

class GuardedDataNotes final : public GuardedAbility<DataNotes> {
 public:
  using GuardedAbility::GuardedAbility;
  std::vector<std::string> notes() const override {
    return call("notes", [](DataNotes& inner) { return inner.notes(); });
  }
};

/// Gives the place of a file by its name; empty where there is none.
using FileFinder = std::function<std::string(const std::string&)>;

/// Null for a dataset whose files are not known.
FileFinder finder_of(Dataset& dataset) {
  if (const auto* sequence = bissl::capability<FileSequence>(dataset)) {
    return [sequence](const std::string& name) -> std::string {
      int64_t begin = 0;
      int64_t end = sequence->file_count();
      while (begin < end) {  // names ascend
        const int64_t middle = begin + (end - begin) / 2;
        const DataFile file = sequence->data_file(middle);
        if (file.name == name) {
          return file.path;
        }
        if (file.name < name) {
          begin = middle + 1;
        } else {
          end = middle;
        }
      }
      return "";
    };
  }
  const auto* files = bissl::capability<DataFiles>(dataset);
  if (files == nullptr) {
    return nullptr;
  }
  std::map<std::string, std::string> paths;
  for (const DataFile& file : files->data_files()) {
    paths.emplace(file.name, file.path);
  }
  return [paths](const std::string& name) -> std::string {
    const auto found = paths.find(name);
    return found == paths.end() ? "" : found->second;
  };
}

class GuardedDataset : public Guarded<Dataset, GuardedDataFiles, GuardedFileSequence,
                                      GuardedDataNotes, GuardedSampleNames> {
 public:
  GuardedDataset(ComponentChoice choice, std::shared_ptr<Dataset> inner,
                 std::shared_ptr<ContentHashes> hashes)
      : Guarded(std::move(choice), std::move(inner)), hashes_(std::move(hashes)) {}

  int64_t size() const override {
    return call("size", [](const Dataset& inner) { return inner.size(); });
  }
  Sample get(int64_t index) const override {
    return call("get", [&](const Dataset& inner) { return inner.get(index); });
  }
  Target target(int64_t index) const override {
    return call("target", [&](const Dataset& inner) { return inner.target(index); });
  }
  TargetSpec targets() const override {
    return call("targets", [](const Dataset& inner) { return inner.targets(); });
  }
  std::vector<std::string> notes() const {
    return call("notes", [](Dataset& inner) {
      const auto* notes = bissl::capability<DataNotes>(inner);
      return notes == nullptr ? std::vector<std::string>() : notes->notes();
    });
  }
  std::optional<std::string> sample_name(int64_t index) const {
    return call("sample_name", [&](Dataset& inner) {
      const auto* names = bissl::capability<SampleNames>(inner);
      return names == nullptr ? std::nullopt : std::optional(names->sample_name(index));
    });
  }
  std::vector<std::string> sample_files(const std::vector<int64_t>& samples) const {
    return call("sample_name", [&](Dataset& inner) {
      std::vector<std::string> paths;
      const auto* names = bissl::capability<SampleNames>(inner);
      const FileFinder path_of = names == nullptr ? nullptr : finder_of(inner);
      for (size_t i = 0; path_of && i < samples.size(); ++i) {
        paths.push_back(path_of(names->sample_name(samples[i])));
      }
      const bool all = std::none_of(paths.begin(), paths.end(),
                                    [](const std::string& path) { return path.empty(); });
      return all ? paths : std::vector<std::string>();
    });
  }
  std::string fingerprint() const override {
    // Each stage's key asks for it, and hashing large data takes seconds.
    const std::lock_guard lock(mutex_);
    if (!fingerprint_) {
      const std::string text =
          call("fingerprint", [this](Dataset& inner) { return work_out_fingerprint(inner); });
      // Keys of stages and lock files are texts: bytes that are none go in by their hash.
      fingerprint_ = is_utf8(text) ? text : "bytes:" + hash_hex(text);
    }
    return *fingerprint_;
  }

 private:
  std::string work_out_fingerprint(Dataset& inner) const {
    if (const auto* sequence = bissl::capability<FileSequence>(inner)) {
      return hashes_->fingerprint(*sequence);
    }
    const auto* files = bissl::capability<DataFiles>(inner);
    return files == nullptr ? inner.fingerprint() : hashes_->fingerprint(files->data_files());
  }

  std::shared_ptr<ContentHashes> hashes_;
  mutable std::mutex mutex_;
  mutable std::optional<std::string> fingerprint_;
};

}  // namespace

std::shared_ptr<const Dataset> create_guarded_dataset(const ComponentChoice& choice,
                                                      std::shared_ptr<ContentHashes> hashes) {
  return make_guard<GuardedDataset, Dataset>(choice, DatasetContext{}, std::move(hashes));
}

std::vector<std::string> notes_of(const Dataset& guarded) {
  const auto* dataset = dynamic_cast<const GuardedDataset*>(&guarded);
  return dataset == nullptr ? std::vector<std::string>() : dataset->notes();
}

std::optional<std::string> sample_name_of(const Dataset& guarded, int64_t index) {
  const auto* dataset = dynamic_cast<const GuardedDataset*>(&guarded);
  return dataset == nullptr ? std::nullopt : dataset->sample_name(index);
}

std::vector<std::string> sample_files_of(const Dataset& guarded,
                                         const std::vector<int64_t>& samples) {
  const auto* dataset = dynamic_cast<const GuardedDataset*>(&guarded);
  return dataset == nullptr ? std::vector<std::string>() : dataset->sample_files(samples);
}

}  // namespace bissl::host
