// The reader of CIFAR's pickles. tests/reference/dataset_files.py writes the files of the corpus
// with Python's own libraries.

#include "pickle_reader.h"
#include "file_readers.h"
#include "file_writers.h"
#include "refusals.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

using PickleReader = FileReaders;

TEST_F(PickleReader, ReadsWhatPythonWrites) {
  for (const int protocol : {2, 3, 4}) {
    const Pickle pickle(corpus("cifar_pickle/protocol-" + std::to_string(protocol) + ".pickle"));
    const PickleValue* const labels = pickle.find(pickle.root(), "labels");
    ASSERT_NE(labels, nullptr);
    EXPECT_EQ(pickle.integers(*labels, "labels"), (std::vector<int64_t>{6, 9}));
    const PickleValue* const data = pickle.find(pickle.root(), "data");
    ASSERT_NE(data, nullptr);
    EXPECT_EQ(data->kind, PickleKind::array);
    EXPECT_EQ(data->element_type, "u1");
    ASSERT_EQ(data->items.size(), 2U);
    EXPECT_EQ(pickle.at(data->items[0]).integer, 2);
    EXPECT_EQ(pickle.at(data->items[1]).integer, 12);
    ASSERT_EQ(data->bytes.size(), 24U);
    for (size_t i = 0; i < 24; ++i) {
      EXPECT_EQ(static_cast<uint8_t>(data->bytes[i]), 10 * i) << protocol;
    }
    const PickleValue* const names = pickle.find(pickle.root(), "filenames");
    ASSERT_NE(names, nullptr);
    EXPECT_EQ(pickle.texts(*names, "names").at(1), "camion_s_000148.png");
    EXPECT_EQ(pickle.find(pickle.root(), "fine_labels"), nullptr);
  }
}

TEST_F(PickleReader, ReadsThoseOfPython2) {
  const Pickle pickle(write(
      "a", pickled::file(pickled::dict({{"data", pickled::array(1, 3, "abc")},
                                        {"labels", pickled::list({pickled::integer(-5)})}}))));
  EXPECT_EQ(pickle.find(pickle.root(), "data")->bytes, "abc");
  EXPECT_EQ(pickle.integers(*pickle.find(pickle.root(), "labels"), "labels"),
            std::vector<int64_t>{-5});
}

TEST_F(PickleReader, ExecutesNothing) {
  EXPECT_NE(refusal_of([] {
              Pickle(corpus("cifar_pickle/eval.pickle"));
            }).find("wants __builtin__.eval, which is refused: nothing in a pickle is executed"),
            std::string::npos);
  for (const std::string name :
       {"os\nsystem", "posix\nsystem", "builtins\neval", "numpy\nload", "numpy\nfromfile",
        "numpy.core.multiarray\nscalar", "_codecs\ndecode", "torch._utils\n_rebuild_tensor_v2",
        "subprocess\nPopen", "numpy\nndarray\x01"}) {
    const fs::path file = write("a",
                                "\x80\x02"
                                "c" +
                                    name + "\n.");
    expect_part(refusal([&] { Pickle{file}; }), "which is refused");
  }
  // A name made on the stack (protocol 4).
  const fs::path stack =
      write("a", "\x80\x04" + pickled::text("os") + pickled::text("system") + "\x93.");
  expect_part(refusal([&] { Pickle{stack}; }), "wants os.system, which is refused");
  // Operations that make objects otherwise: INST, OBJ, NEWOBJ, EXT1, BINPERSID, PERSID.
  for (const char operation : {'i', 'o', '\x81', '\x82', 'Q', 'P'}) {
    const fs::path file = write("a", "\x80\x02(N" + std::string(1, operation) + "x\ny\n.");
    expect_part(refusal([&] { Pickle{file}; }), "which no pickle of plain values and arrays needs");
  }
  // What is allowed may not be called otherwise than Python calls it.
  const fs::path call = write("a",
                              "\x80\x02"
                              "c_codecs\nencode\n" +
                                  pickled::bytes("a") + pickled::bytes("utf7") + "\x86R.");
  expect_part(refusal([&] { Pickle{call}; }), "calls _codecs encode in a way that is not known");
  const fs::path dtype = write("a", "\x80\x02N)R.");
  expect_part(refusal([&] { Pickle{dtype}; }), "calls what cannot be called");
}

TEST_F(PickleReader, SurvivesDepthAndMemoBombs) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Pickle(corpus("cifar_pickle/deep.pickle")).root().kind, PickleKind::list);
  EXPECT_EQ(Pickle(corpus("cifar_pickle/memo-bomb.pickle")).root().items.size(), 2U);
  // A list in itself.
  const Pickle cycle(write("a", std::string("\x80\x02]q\0h\0a.", 9)));
  EXPECT_EQ(cycle.root().items.size(), 1U);
  // One text of a megabyte, decoded over and over.
  std::string bomb =
      "\x80\x02"
      "c_codecs\nencode\nq";
  bomb += std::string(1, '\0') + pickled::text(std::string(1 << 20, 'x')) + "q\x01" +
          pickled::text("latin1") + "q\x02";
  for (int i = 0; i < 200; ++i) {
    bomb += std::string("h\0h\1h\2\x86R", 8);
  }
  const fs::path file = write("b", bomb + ".");
  expect_part(refusal([&] { Pickle{file}; }), "spells more bytes as text than it has");
  // One text of a megabyte as very many entries of a list.
  std::string list = "](" + pickled::text(std::string(1 << 20, 'x')) + "q\x01";
  for (int i = 0; i < 1000; ++i) {
    list += "h\x01";
  }
  const Pickle repeated(write("d", pickled::file(list + "e")));
  expect_part(refusal([&] { repeated.texts(repeated.root(), "names"); }),
              "names have more bytes than their file");
  // More values than are read.
  const fs::path many = write("c", "\x80\x02" + std::string((1 << 22) + 5, 'N') + ".");
  expect_part(refusal([&] { Pickle{many}; }), "has more values than anything that is read here");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST_F(PickleReader, RefusesAFileCutShortAnywhere) {
  for (const int protocol : {2, 3, 4}) {
    const std::string whole =
        read_file(corpus("cifar_pickle/protocol-" + std::to_string(protocol) + ".pickle"));
    for (size_t size = 0; size < whole.size(); ++size) {
      const fs::path file = write("a", whole.substr(0, size));
      EXPECT_NE(refusal([&] { Pickle{file}; }), "no error") << size;
    }
    const fs::path longer = write("a", whole + "N");
    expect_part(refusal([&] { Pickle{longer}; }), "has bytes after its end");
  }
}

TEST_F(PickleReader, SaysWhatIsNoList) {
  const Pickle pickle(
      write("a", pickled::file(pickled::dict(
                     {{"a", pickled::list({pickled::bytes("x")})}, {"b", pickled::integer(3)}}))));
  EXPECT_EQ(refusal([&] { pickle.integers(*pickle.find(pickle.root(), "a"), "its \"a\""); }),
            "its \"a\" are no list of integers: entry 0 is none");
  EXPECT_EQ(refusal([&] { pickle.texts(*pickle.find(pickle.root(), "b"), "its \"b\""); }),
            "its \"b\" are no list of texts");
}

}  // namespace
}  // namespace bissl::host::test
