// The reader of MAT-files. tests/reference/dataset_files.py writes the files of the corpus with
// Python's own libraries.

#include "mat_reader.h"
#include "file_readers.h"
#include "file_writers.h"
#include "refusals.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

using MatReader = FileReaders;

TEST_F(MatReader, ReadsWhatScipyWrites) {
  for (const std::string name : {"annotations", "annotations-compressed"}) {
    const MatVariables variables = read_mat(corpus("mat/" + name + ".mat"), {"annotations"});
    const MatArray& annotations = variables.at("annotations");
    ASSERT_EQ(annotations.kind, MatKind::structure);
    EXPECT_EQ(annotations.dimensions, (std::vector<int64_t>{1, 2}));
    EXPECT_EQ(annotations.field(0, "bbox_x1")->number(0), 39);
    EXPECT_EQ(annotations.field(1, "bbox_x1")->number(0), 300);
    EXPECT_EQ(annotations.field(0, "class")->number(0), 2);
    EXPECT_EQ(annotations.field(1, "fname")->text, "00002.jpg");
    EXPECT_EQ(annotations.field(1, "bbox_y1"), nullptr);
  }
  const MatVariables names = read_mat(corpus("mat/class_names.mat"), {"class_names"});
  ASSERT_EQ(names.at("class_names").parts.size(), 2U);
  EXPECT_EQ(names.at("class_names").parts[0].text, "AM General Hummer SUV 2000");
  EXPECT_EQ(names.at("class_names").parts[1].text, "Škoda 120 L");
  const fs::path labels = corpus("mat/labels.mat");
  const MatVariables both = read_mat(labels, {"labels", "tstid"});
  EXPECT_EQ(mat_integers(labels, both, "labels"), (std::vector<int64_t>{3, 1, 300, 2}));
  EXPECT_EQ(mat_integers(labels, both, "tstid"), (std::vector<int64_t>{4, 1}));
  const MatVariables images = read_mat(corpus("mat/images.mat"), {"X"});
  EXPECT_FALSE(images.contains("y"));
  const MatArray& x = images.at("X");
  EXPECT_EQ(x.dimensions, (std::vector<int64_t>{2, 3, 3, 2}));
  ASSERT_EQ(x.bytes.size(), 36U);
  EXPECT_EQ(x.bytes[35], 35);
}

TEST_F(MatReader, SaysWhatIsNotThere) {
  const fs::path labels = corpus("mat/labels.mat");
  expect_part(refusal([&] { mat_integers(labels, read_mat(labels, {"labels"}), "trnid"); }),
              "labels.mat: has no variable \"trnid\"");
  const fs::path texts =
      write("a.mat", mat::file({mat::text("labels", "abc"), mat::doubles("half", {1, 1}, {0.5})}));
  const MatVariables variables = read_mat(texts, {"labels", "half"});
  EXPECT_EQ(refusal([&] { mat_integers(texts, variables, "labels"); }),
            "DIR/a.mat: its variable \"labels\" holds no numbers");
  EXPECT_EQ(refusal([&] { mat_integers(texts, variables, "half"); }),
            "DIR/a.mat: entry 0 of its variable \"half\" is 0.5; expected a whole number");
}

TEST_F(MatReader, SaysWhichFormatItIs) {
  std::string header = "MATLAB 7.3 MAT-file, Platform: GLNXA64";
  header.resize(512, ' ');
  const fs::path newer = write("a.mat", header + "\x89HDF\r\n\x1A\n");
  expect_part(refusal([&] { read_mat(newer, {"x"}); }), "format v7.3, which is HDF5; expected v7");
  std::string big = mat::file({mat::doubles("x", {1, 1}, {1})});
  big.replace(124, 4, std::string("\x01\0MI", 4));
  const fs::path other = write("a.mat", big);
  expect_part(refusal([&] { read_mat(other, {"x"}); }), "of a big-endian machine");
  const fs::path text = write("a.mat", std::string(300, 'x'));
  expect_part(refusal([&] { read_mat(text, {"x"}); }), "is no MAT-file");
  const fs::path nothing = write("a.mat", "");
  expect_part(refusal([&] { read_mat(nothing, {"x"}); }), "ends after 0 bytes");
}

TEST_F(MatReader, BelievesSizesOnlyAsFarAsTheFileGoes) {
  const std::vector<std::pair<std::string, std::string>> wrong{
      {mat::bytes("x", {100000, 100000}, "abc"), "an array of 10000000000 numbers has 3 bytes"},
      {mat::bytes("x", {2147483647, 2147483647, 2147483647}, "abc"), "larger than a file can be"},
      {mat::bytes("x", {-1, 3}, "abc"), "a dimension is negative"},
      {mat::bytes("x", {3}, "abc"), "an array has 1 dimensions"},
      {mat::cell("x", {1, 2147483647}, {}), "claims 2147483647 parts"},
      {mat::structure("x", {1, 2147483647}, {"a"}, {}), "claims 2147483647 elements"},
      {mat::cell("x", {1, 2}, {mat::text("", "a")}), "it ends within a tag"},
  };
  for (const auto& [variable, part] : wrong) {
    const fs::path file = write("a.mat", mat::file({variable}));
    expect_part(refusal([&] { read_mat(file, {"x"}); }), part);
  }
}

TEST_F(MatReader, RefusesDeepNestingAndBombs) {
  std::string nested = mat::text("", "a");
  for (int i = 0; i < 10; ++i) {
    nested = mat::cell(i == 9 ? "x" : "", {1, 1}, {nested});
  }
  const fs::path deep = write("a.mat", mat::file({nested}));
  expect_part(refusal([&] { read_mat(deep, {"x"}); }), "nested more than 8 deep");
  const std::string zeros(64 << 20, '\0');
  const fs::path bomb =
      write("a.mat", mat::file({mat::compressed(mat::bytes("x", {1, 64 << 20}, zeros))}));
  EXPECT_LT(fs::file_size(bomb), 1U << 20);
  expect_part(refusal([&] { read_mat(bomb, {"x"}, 32 << 20); }),
              "holds more than 33554432 bytes after decompression");
  EXPECT_EQ(read_mat(bomb, {"x"}).at("x").bytes.size(), zeros.size());
  // Numbers of other types than unsigned bytes are held as doubles, of 8 bytes.
  constexpr int32_t numbers = (1 << 22) + 1;
  const fs::path large = write(
      "b.mat", mat::file({mat::doubles("x", {1, numbers}, std::vector<double>(size_t{numbers}))}));
  expect_part(refusal([&] { read_mat(large, {"x"}); }), "more than 4194304 numbers that are not");
}

TEST_F(MatReader, RefusesAFileCutShortAnywhere) {
  for (const std::string name : {"annotations", "annotations-compressed", "labels", "images"}) {
    const std::string whole = read_file(corpus("mat/" + name + ".mat"));
    const std::set<std::string> all{"annotations", "labels", "tstid", "X", "y"};
    const size_t variables = read_mat(corpus("mat/" + name + ".mat"), all).size();
    for (size_t size = 0; size < whole.size(); ++size) {
      const fs::path file = write("a.mat", whole.substr(0, size));
      size_t found = 0;
      const std::string text = refusal([&] { found = read_mat(file, all).size(); });
      // A cut between two variables, or in the padding behind the last, leaves a whole file.
      EXPECT_TRUE(text != "no error" || found < variables || size + 8 > whole.size()) << size;
    }
  }
}

}  // namespace
}  // namespace bissl::host::test
