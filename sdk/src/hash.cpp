#include "bissl/hash.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <new>

namespace bissl {

struct Hasher::State {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  state_->xxh.reset(XXH3_createState());
  if (!state_->xxh) {
    throw std::bad_alloc();
  }
  XXH3_128bits_reset(state_->xxh.get());
}

Hasher::~Hasher() = default;

Hasher& Hasher::update(const void* data, size_t size) {
  XXH3_128bits_update(state_->xxh.get(), data, size);
  return *this;
}

Hasher& Hasher::update(std::string_view text) { return update(text.data(), text.size()); }

std::string Hasher::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->xxh.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string hash_hex(std::string_view text) { return Hasher().update(text).hex(); }

uint64_t hash64(std::string_view text, uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

}  // namespace bissl
