#pragma once

#include "bissl/export.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bissl {

/// A 128-bit content hash (XXH3), for fingerprints of data and keys of stages. Not cryptographic.
class BISSL_API Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  /// Takes `size` bytes more.
  Hasher& update(const void* data, size_t size);
  /// The text's bytes. Between texts of varying length put something that ends them.
  Hasher& update(std::string_view text);
  /// 32 lower-case hexadecimal digits of everything given so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Hasher::hex of one text.
BISSL_API std::string hash_hex(std::string_view text);
/// A 64-bit hash of the text; different seeds give unrelated hashes.
BISSL_API uint64_t hash64(std::string_view text, uint64_t seed = 0);

}  // namespace bissl
