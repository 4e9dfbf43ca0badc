#include "data/guarded_dataset.h"

#include "bissl/data_files.h"
#include "bissl/hash.h"
#include "text/json_text.h"

#include <mutex>
#include <optional>

namespace bissl {
namespace {

class GuardedDataset : public Dataset {
 public:
  GuardedDataset(const ComponentChoice& choice, std::shared_ptr<ContentHashes> hashes)
      : choice_(choice),
        inner_(choice.create<Dataset>(DatasetContext{})),
        hashes_(std::move(hashes)) {}

  int64_t size() const override {
    return call_component(choice_, "size", [&] { return inner_->size(); });
  }
  Sample get(int64_t index) const override {
    return call_component(choice_, "get", [&] { return inner_->get(index); });
  }
  Target target(int64_t index) const override {
    return call_component(choice_, "target", [&] { return inner_->target(index); });
  }
  TargetSpec targets() const override {
    return call_component(choice_, "targets", [&] { return inner_->targets(); });
  }
  void* capability(std::string_view id) override { return inner_->capability(id); }
  std::string fingerprint() const override {
    // Each stage's key asks for it, and hashing large data takes seconds.
    const std::lock_guard lock(mutex_);
    if (!fingerprint_) {
      const std::string text =
          call_component(choice_, "fingerprint", [&] { return work_out_fingerprint(); });
      // Keys of stages and lock files are texts: bytes that are none go in by their hash.
      fingerprint_ = is_utf8(text) ? text : "bytes:" + hash_hex(text);
    }
    return *fingerprint_;
  }

 private:
  std::string work_out_fingerprint() const {
    const auto* files = bissl::capability<DataFiles>(*inner_);
    return files == nullptr ? inner_->fingerprint() : hashes_->fingerprint(files->data_files());
  }

  ComponentChoice choice_;
  std::shared_ptr<Dataset> inner_;
  std::shared_ptr<ContentHashes> hashes_;
  mutable std::mutex mutex_;
  mutable std::optional<std::string> fingerprint_;
};

}  // namespace

std::shared_ptr<const Dataset> create_guarded_dataset(const ComponentChoice& choice,
                                                      std::shared_ptr<ContentHashes> hashes) {
  return std::make_shared<GuardedDataset>(choice, std::move(hashes));
}

}  // namespace bissl
