#include "base/json_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bissl::host {
namespace {

using nlohmann::json;

const double infinity = std::numeric_limits<double>::infinity();
const double nan_value = std::numeric_limits<double>::quiet_NaN();

TEST(JsonText, NamesNumbersThatJsonLacksBesideTheirNull) {
  EXPECT_EQ(json_text({{"loss", nan_value}, {"top1", 0.5}}),
            R"({"loss":null,"not_finite":{"loss":"nan"},"top1":0.5})");
  EXPECT_EQ(json_text({{"a", {1.5, -infinity}}, {"b", {{"c", infinity}}}}),
            R"({"a":[1.5,null],"b":{"c":null,"not_finite":{"c":"inf"}},)"
            R"("not_finite":{"a/1":"-inf"}})");
  EXPECT_EQ(json_text(nan_value), "null");
}

TEST(JsonText, KeepsReasonsThatAreThere) {
  const json given = {{"mean", nullptr}, {"std", infinity}, {"not_finite", {{"mean", "in run 1"}}}};
  EXPECT_EQ(json_text(given),
            R"({"mean":null,"not_finite":{"mean":"in run 1","std":"inf"},"std":null})");
}

TEST(JsonText, WhatWasTakenOutCanBePutBack) {
  const json given = {{"a", infinity},
                      {"b.c", {1.0, {-infinity, 2.0}}},
                      {"list", {{{"deep", -infinity}}}},
                      {"plain", {{"x", nullptr}}}};
  EXPECT_EQ(with_non_finite(json::parse(json_text(given))), given);
  const json back = with_non_finite(json::parse(json_text({{"n", nan_value}})));
  EXPECT_TRUE(std::isnan(back["n"].get<double>()));
  EXPECT_FALSE(back.contains("not_finite"));
  // A reason in words is no number.
  const json words = {{"mean", nullptr}, {"not_finite", {{"mean", "nan in run 0"}}}};
  EXPECT_EQ(with_non_finite(words), words);
}

TEST(JsonText, BytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(json_text({{"a\xFE", "b\xFF"}}), "{\"a\xEF\xBF\xBD\":\"b\xEF\xBF\xBD\"}");
  EXPECT_TRUE(is_utf8("Größe"));
  EXPECT_FALSE(is_utf8("\xC3"));
}

TEST(JsonText, TablesShowWhatIsNotFinite) {
  EXPECT_EQ(number_or_not_finite(0.12345, 4), "0.1235");
  EXPECT_EQ(number_or_not_finite(nullptr, 4), "not finite");
}

}  // namespace
}  // namespace bissl::host
