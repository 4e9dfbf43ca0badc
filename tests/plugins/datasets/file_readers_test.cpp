// The readers of files of others: tar, pickles, MAT-files, lists. tests/reference/dataset_files.py
// writes the files of the corpora with Python's own libraries.

#include "file_access.h"
#include "file_writers.h"
#include "inflate.h"
#include "layout.h"
#include "mat_reader.h"
#include "pickle_reader.h"
#include "refusals.h"
#include "support/paths.h"
#include "support/temporary_folder.h"
#include "tar_reader.h"
#include "text_lines.h"

#include "bissl/error.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <functional>

namespace bissl::host::test {
namespace {

namespace fs = std::filesystem;

fs::path corpus(const std::string& name) {
  return fs::path(source_folder) / "tests/fuzz/corpus" / name;
}

/// What the refusal says, with the folder of the test as DIR.
std::string refusal_of(const std::function<void()>& read, const fs::path& folder = {}) {
  try {
    read();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    std::string text = error.what();
    if (const size_t at = text.find(folder.string()); !folder.empty() && at == 0) {
      text.replace(at, folder.string().size(), "DIR");
    }
    return text;
  }
  return "no error";
}

class FileReaders : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& content) {
    write_file(folder_.path() / name, content);
    return folder_.path() / name;
  }
  std::string refusal(const std::function<void()>& read) {
    return refusal_of(read, folder_.path());
  }

  TemporaryFolder folder_;
};

// Tar

std::vector<TarMember> members_of(const fs::path& file) {
  const RandomAccessFile archive(file);
  std::vector<TarMember> members;
  list_tar(archive, [&](const TarMember& member) { members.push_back(member); });
  return members;
}

using TarReader = FileReaders;

TEST_F(TarReader, ReadsWhatPythonWrites) {
  const std::string long_name =
      std::string(80, 'x') + "/" + std::string(90, 'y') + "/" + std::string(120, 'z') + ".jpg";
  for (const std::string format : {"ustar", "gnu", "pax"}) {
    const fs::path file = corpus("tar/" + format + ".tar");
    const std::vector<TarMember> members = members_of(file);
    ASSERT_GE(members.size(), 4U) << format;
    EXPECT_EQ(members[0].name, "a/0001.jpg");
    EXPECT_EQ(members[1].name, "a/0001.cls");
    EXPECT_EQ(members[3].size, 3U);
    std::string content(3, ' ');
    RandomAccessFile(file).read(members[3].offset, content.data(), 3);
    EXPECT_EQ(content, "12\n");
    if (format != "ustar") {
      ASSERT_GE(members.size(), 5U) << format;
      EXPECT_EQ(members[4].name, long_name) << format;
      EXPECT_EQ(members[4].size, 4U);
    }
  }
  EXPECT_EQ(members_of(corpus("tar/pax.tar")).at(5).name, "ü.jpg");
}

TEST_F(TarReader, ReadsLargeSizesInBothForms) {
  // 2^33 bytes do not fit eleven octal digits; only the message can show that they were read.
  const std::string base256("\x80\0\0\0\0\0\0\2\0\0\0\0", 12);
  const fs::path file = write("a.tar", tar_header("a.jpg", 0, '0', base256) + tar_end());
  EXPECT_EQ(
      refusal([&] { members_of(file); }),
      "DIR/a.tar: at byte 0: \"a.jpg\" is to have 8589934592 bytes, but the archive ends after "
      "1024 of them: it is cut short or damaged; fetch or write it again");
  const fs::path pax = write("b.tar", pax_record("size", "3") + tar_header("a.jpg", 0) +
                                          std::string("abc") + std::string(509, '\0') + tar_end());
  EXPECT_EQ(members_of(pax).at(0).size, 3U);
}

TEST_F(TarReader, RefusesWhatIsNoFile) {
  expect_part(refusal_of([] { members_of(corpus("tar/link.tar")); }),
              "link.tar: at byte 4096: \"b.jpg\" is a link; only files and folders are accepted");
  expect_part(refusal_of([] { members_of(corpus("tar/device.tar")); }), "\"b.jpg\" is a device");
  for (const auto& [type, what] :
       std::vector<std::pair<char, std::string>>{{'1', "a link"},
                                                 {'6', "a named pipe"},
                                                 {'4', "a device"},
                                                 {'S', "a sparse file"},
                                                 {'Z', "of a type that no file has"}}) {
    const fs::path file = write("a.tar", tar_member("x.jpg", "", type) + tar_end());
    EXPECT_EQ(refusal([&] { members_of(file); }), "DIR/a.tar: at byte 0: \"x.jpg\" is " + what +
                                                      "; only files and folders are accepted");
  }
  const fs::path sparse =
      write("a.tar", pax_record("GNU.sparse.major", "1") + tar_member("x.jpg", "abc") + tar_end());
  expect_part(refusal([&] { members_of(sparse); }), "the next member is a sparse file");
}

TEST_F(TarReader, RefusesNamesThatLeadOut) {
  expect_part(refusal_of([] { members_of(corpus("tar/traversal.tar")); }),
              "the name \"../../b.jpg\" leads out of the archive");
  for (const std::string name : {"/etc/a.jpg", "a/../../b.jpg", "a//b.jpg", "a/./b.jpg", ".."}) {
    const fs::path file = write("a.tar", tar_member(name, "abc") + tar_end());
    expect_part(refusal([&] { members_of(file); }), "the name \"" + name + "\" leads out");
    const fs::path pax =
        write("b.tar", pax_record("path", name) + tar_member("good.jpg", "abc") + tar_end());
    expect_part(refusal([&] { members_of(pax); }), "the name \"" + name + "\" leads out");
  }
  EXPECT_EQ(members_of(write("a.tar", tar_of({{"./a/b.jpg", "abc"}}))).at(0).name, "a/b.jpg");
}

TEST_F(TarReader, RefusesAnArchiveCutShortAnywhere) {
  const std::string whole = tar_of({{"a.jpg", std::string(700, 'x')}, {"a.cls", "3"}});
  // One of the two zero blocks at the end is enough.
  for (size_t size = 0; size < whole.size() - 512; size += 64) {
    const fs::path file = write("a.tar", whole.substr(0, size));
    const std::string text = refusal([&] { members_of(file); });
    EXPECT_NE(text.find("cut short"), std::string::npos) << size << ": " << text;
  }
  EXPECT_EQ(members_of(write("a.tar", whole.substr(0, whole.size() - 512))).size(), 2U);
}

TEST_F(TarReader, RefusesOtherFiles) {
  const fs::path text = write("a.tar", std::string(2000, 'x'));
  expect_part(refusal([&] { members_of(text); }), "DIR/a.tar: at byte 0: the checksum is no octal");
  std::string archive = tar_of({{"a.jpg", "abc"}});
  archive[3] = 'X';
  const fs::path changed = write("a.tar", archive);
  expect_part(refusal([&] { members_of(changed); }), "its checksum is wrong");
  EXPECT_EQ(refusal([&] { members_of(folder_.path()); }), "DIR: is not a file");
}

/// GNU tar fills the last record of 10 KiB with zeros.
TEST_F(TarReader, RefusesWhatFollowsTheEnd) {
  const std::string one = tar_of({{"a.jpg", "abc"}});
  for (const size_t zeros : {0, 1, 512, 10240, 100'000}) {
    EXPECT_EQ(members_of(write("a.tar", one + std::string(zeros, '\0'))).size(), 1U) << zeros;
  }
  for (const size_t zeros : {0, 512, 9216, 99'840}) {
    const fs::path two = write("a.tar", one + std::string(zeros, '\0') + one);
    expect_part(refusal([&] { members_of(two); }),
                "DIR/a.tar: at byte " + std::to_string(one.size() + zeros) +
                    ": something follows the zero block at the end of the archive");
  }
}

// Gzip

TEST_F(FileReaders, ZerosMayFollowAGzipStream) {
  const std::string whole = gzip_of("first, ") + gzip_of("second");
  for (const size_t zeros : {1, 512, 3 << 20}) {
    unpack_gzip(write("a.gz", whole + std::string(zeros, '\0')), folder_.path() / "a");
    EXPECT_EQ(read_file(folder_.path() / "a"), "first, second") << zeros;
  }
  for (const std::string& more : {std::string("x"), gzip_of("third")}) {
    const fs::path packed = write("a.gz", whole + std::string(512, '\0') + more);
    expect_part(refusal([&] { unpack_gzip(packed, folder_.path() / "b"); }),
                "DIR/a.gz: something follows the zeros behind its gzip stream");
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "b"));
}

TEST_F(FileReaders, UnpacksGzipWithSeveralMembers) {
  const fs::path packed = write("a.gz", gzip_of("first, ") + gzip_of(std::string(3 << 20, 'x')));
  unpack_gzip(packed, folder_.path() / "a");
  EXPECT_EQ(read_file(folder_.path() / "a"), "first, " + std::string(3 << 20, 'x'));
}

TEST_F(FileReaders, LeavesNothingOfADamagedGzipFile) {
  const std::string whole = gzip_of(std::string(100000, 'x') + "end");
  for (size_t size = 2; size < whole.size(); size += 5) {
    const fs::path packed = write("a.gz", whole.substr(0, size));
    const std::string text = refusal([&] { unpack_gzip(packed, folder_.path() / "unpacked"); });
    EXPECT_NE(text.find("cut short"), std::string::npos) << size << ": " << text;
  }
  std::string changed = whole;
  changed[changed.size() - 6] ^= 1;
  const fs::path packed = write("a.gz", changed);
  expect_part(refusal([&] { unpack_gzip(packed, folder_.path() / "unpacked"); }),
              "incorrect data check");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename(), "a.gz");
    ++files;
  }
  EXPECT_EQ(files, 1);
}

// Pickles

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

// MAT-files

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

// Lists and layouts

TEST_F(FileReaders, ReadsLinesOfAllKinds) {
  const TextLines lines(write("a.txt", "\xEF\xBB\xBFone 1\r\n\r\n  two\t2  \nthree 3"));
  ASSERT_EQ(lines.lines().size(), 3U);
  EXPECT_EQ(lines.lines()[0].text, "one 1");
  EXPECT_EQ(lines.lines()[1].text, "two\t2");
  EXPECT_EQ(lines.lines()[1].number, 3U);
  EXPECT_EQ(lines.fields(lines.lines()[1], 2, "two"), (std::vector<std::string>{"two", "2"}));
  EXPECT_EQ(refusal([&] { lines.fields(lines.lines()[2], 3, "a name and two numbers"); }),
            "DIR/a.txt:4: is \"three 3\"; expected a name and two numbers");
  EXPECT_EQ(refusal([&] { lines.number(lines.lines()[2], "3x", 0, 9, "a class"); }),
            "DIR/a.txt:4: is \"three 3\"; expected a class from 0 to 9 in place of \"3x\"");
}

TEST_F(FileReaders, RefusesListsThatAreNoText) {
  const fs::path nul = write("a.txt", std::string("ab\0c", 4));
  EXPECT_EQ(refusal([&] { TextLines{nul}; }),
            "DIR/a.txt: has a NUL byte at 2; expected a text file");
  const fs::path blank = write("a.txt", " \n\n");
  EXPECT_EQ(refusal([&] { TextLines{blank}; }), "DIR/a.txt: is empty");
  const fs::path none = folder_.path() / "none.txt";
  EXPECT_EQ(refusal([&] { TextLines{none}; }),
            "DIR/none.txt: cannot be opened: No such file or directory");
  const fs::path twice = write("a.txt", "cat\ndog\ncat\n");
  EXPECT_EQ(refusal([&] { read_class_list(twice); }),
            "DIR/a.txt:3: is \"cat\"; expected a class that no line before names");
}

TEST_F(FileReaders, KeepsPathsOfListsWithinTheFolder) {
  for (const char* name : {"a", "a/b.jpg", "a/..b/c", "…/ü.jpg", "a b.jpg"}) {
    EXPECT_TRUE(stays_within(name)) << name;
  }
  for (const char* name : {"", "/a", "..", "a/..", "../a", "a/../b", "a//b", "./a", "a/"}) {
    EXPECT_FALSE(stays_within(name)) << name;
  }
  EXPECT_FALSE(stays_within(std::string_view("a\0b", 3)));
  EXPECT_FALSE(stays_within(std::string(5000, 'a')));
}

TEST_F(FileReaders, SaysWhereALayoutIsInstead) {
  const LayoutDescription description{"Set", {"set-1"}, "meta/list.txt", "meta/list.txt and so on"};
  write("data/set-1/meta/list.txt", "x");
  EXPECT_EQ(Layout(description, folder_.path() / "data").base(), folder_.path() / "data/set-1");
  EXPECT_EQ(Layout(description, folder_.path() / "data/set-1").base(),
            folder_.path() / "data/set-1");
  const std::string elsewhere = ": set `root` to that. Expected: meta/list.txt and so on";
  EXPECT_EQ(
      refusal([&] { Layout(description, folder_.path()); }),
      "DIR: does not hold Set: no meta/list.txt or set-1/meta/list.txt there, but data. It is "
      "in " +
          (folder_.path() / "data").string() + elsewhere);
  expect_part(refusal([&] { Layout(description, folder_.path() / "data/set-1/meta"); }),
              "It is in " + (folder_.path() / "data/set-1").string() + elsewhere);
  EXPECT_EQ(
      refusal([&] { Layout(description, folder_.path() / "none"); }),
      "DIR/none: no such folder; `root` is the folder that holds Set. Expected: meta/list.txt "
      "and so on");
  const Layout layout(description, folder_.path() / "data");
  EXPECT_EQ(refusal([&] { layout.file("meta/other.txt"); }),
            "DIR/data/set-1/meta/other.txt: no such file; Set needs it, and " +
                (folder_.path() / "data/set-1/meta").string() +
                " holds list.txt. Expected: meta/list.txt and so on");
}

TEST_F(FileReaders, ReadsOnlyRegularFiles) {
  const fs::path pipe = folder_.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(refusal([&] { read_whole_file(pipe, 100); }), "DIR/pipe: is not a file");
  const fs::path file = write("a", "0123456789");
  EXPECT_EQ(refusal([&] { read_whole_file(file, 9); }), "DIR/a: has 10 bytes; at most 9 are read");
  const RandomAccessFile open(file);
  fs::resize_file(file, 4);
  std::string bytes(5, ' ');
  EXPECT_EQ(refusal([&] { open.read(2, bytes.data(), 5); }),
            "DIR/a: ends at byte 4, where bytes up to 7 were expected; was it changed while it was "
            "read?");
}

}  // namespace
}  // namespace bissl::host::test
