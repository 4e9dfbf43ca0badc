#include "bissl/hash.h"

#include <gtest/gtest.h>

#include <string>

namespace bissl::host {
namespace {

// XXH3's values for the empty input and the seed 0, as published with xxHash.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(Hasher().hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash64("", 0), 0x2d06800538d394c2U);
}

TEST(Hash, DependsOnTheContentNotOnItsPortions) {
  const std::string text(5000, 'x');
  Hasher hasher;
  for (size_t at = 0; at < text.size(); at += 700) {
    hasher.update(text.substr(at, 700));
  }
  EXPECT_EQ(hasher.hex(), hash_hex(text));
  EXPECT_EQ(Hasher().update(text.data(), text.size()).hex(), hash_hex(text));
  EXPECT_NE(hash_hex(text), hash_hex(text + "x"));
}

TEST(Hash, MayBeReadAndContinued) {
  Hasher hasher;
  hasher.update("ab");
  EXPECT_EQ(hasher.hex(), hash_hex("ab"));
  hasher.update("c");
  EXPECT_EQ(hasher.hex(), hash_hex("abc"));
}

TEST(Hash, SeedsGiveDifferentHashes) {
  EXPECT_EQ(hash64("views", 1), hash64("views", 1));
  EXPECT_NE(hash64("views", 1), hash64("views", 2));
  EXPECT_NE(hash64("views", 1), hash64("order", 1));
}

}  // namespace
}  // namespace bissl::host
