#include "weights/pickle.h"

#include "bissl/error.h"
#include "core/weights/hand_made.h"

#include <gtest/gtest.h>

#include <chrono>

namespace bissl::host::test {
namespace {

std::string complaint(const std::string& bytes) {
  try {
    read_pickle(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.what();
  }
  return "";
}

TEST(Pickle, ReadsValuesOfAllKinds) {
  const std::string bytes =
      pickle_of(pickled_dict({{"none", "N"},
                              {"yes", "\x88"},
                              {"small", "K\x07"},
                              {"middle", std::string("M\x01\x02", 3)},
                              {"negative", pickled_integer(-3)},
                              {"long", std::string("\x8a\x03\x00\x00\x80", 5)},
                              {"huge", "\x8a\x0a" + std::string(10, 'x')},
                              {"half", std::string("G\x3f\xe0\0\0\0\0\0\0", 9)},
                              {"list",
                               "](K\x01K\x02"
                               "e"},
                              {"pair", "K\x01K\x02\x86"},
                              {"python2",
                               "U\x03"
                               "abc"}}));
  const PickleTree tree = read_pickle(bytes);
  const auto value = [&](const char* name) { return *tree.find(tree.top(), name); };
  EXPECT_EQ(tree.consumed, bytes.size());
  EXPECT_EQ(value("none").kind, PickleKind::none);
  EXPECT_EQ(value("yes").kind, PickleKind::boolean);
  EXPECT_EQ(value("yes").integer, 1);
  EXPECT_EQ(value("small").integer, 7);
  EXPECT_EQ(value("middle").integer, 0x201);
  EXPECT_EQ(value("negative").integer, -3);
  EXPECT_EQ(value("long").integer, -0x800000);
  EXPECT_EQ(value("huge").kind, PickleKind::bytes);
  EXPECT_EQ(value("half").real, 0.5);
  EXPECT_EQ(value("list").items.size(), 2U);
  EXPECT_EQ(value("pair").items.size(), 2U);
  EXPECT_EQ(value("python2").text, "abc");
}

TEST(Pickle, TheLaterOfEqualKeysCounts) {
  const PickleTree tree = read_pickle(pickle_of(pickled_dict({{"a", "K\x01"}, {"a", "K\x02"}})));
  EXPECT_EQ(tree.find(tree.top(), "a")->integer, 2);
  EXPECT_EQ(tree.find(tree.top(), "b"), nullptr);
}

/// What a call of Python's would do is not done: each of these would run a program or touch a file.
TEST(Pickle, NothingIsCalled) {
  const std::vector<std::pair<std::string, std::string>> forbidden = {
      {"os", "system"},
      {"posix", "system"},
      {"subprocess", "Popen"},
      {"builtins", "eval"},
      {"builtins", "exec"},
      {"builtins", "getattr"},
      {"builtins", "__import__"},
      {"__builtin__", "eval"},
      {"torch.hub", "load"},
      {"torch", "load"},
      {"runpy", "run_path"},
      {"pickle", "loads"},
      {"shutil", "rmtree"},
      {"operator", "attrgetter"},
      {"torch.nn.modules.linear", "Linear"},
      {"numpy.core.multiarray", "scalar"}};
  for (const auto& [module, name] : forbidden) {
    SCOPED_TRACE(module + "." + name);
    const std::string call = pickled_global(module, name);
    const std::string reduced = pickle_of(call + pickled_text("touch /tmp/x") + "\x85R");
    const PickleTree tree = read_pickle(reduced);
    EXPECT_EQ(tree.top().kind, PickleKind::opaque);
    EXPECT_EQ(tree.top().text, module + "." + name);
    EXPECT_EQ(tree.opaque, (std::set<std::string>{module + "." + name}));
    // The same by NEWOBJ, with a state, and as a name that is built at run time.
    EXPECT_EQ(read_pickle(pickle_of(call + ")\x81}b")).top().kind, PickleKind::opaque);
    EXPECT_EQ(
        read_pickle("\x80\x04" + pickled_text(module) + pickled_text(name) + "\x93)R.").top().kind,
        PickleKind::opaque);
  }
}

TEST(Pickle, AnOpaqueValueTakesItemsAndKeepsNone) {
  const std::string bytes =
      pickle_of(pickled_global("easydict", "EasyDict") + ")R(" + pickled_text("a") + "K\x01u");
  const PickleTree tree = read_pickle(bytes);
  EXPECT_EQ(tree.top().kind, PickleKind::opaque);
  EXPECT_TRUE(tree.top().items.empty());
}

TEST(Pickle, ReadsATensorWithItsStorage) {
  const PickleTree tree =
      read_pickle(pickle_of(pickled_tensor("HalfStorage", "17", 6, 1, {2, 2}, {2, 1})));
  ASSERT_EQ(tree.top().kind, PickleKind::tensor);
  const PickleTensor& tensor = tree.tensors.at(0);
  EXPECT_EQ(tensor.type, c10::ScalarType::Half);
  EXPECT_EQ(tensor.offset, 1);
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(tensor.strides, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(tree.storages.at(tensor.storage).key, "17");
  EXPECT_EQ(tree.storages.at(tensor.storage).elements, 6);
}

TEST(Pickle, ATensorOfAnUnknownTypeIsOpaque) {
  const PickleTree tree =
      read_pickle(pickle_of(pickled_tensor("QInt8Storage", "0", 1, 0, {1}, {1})));
  EXPECT_EQ(tree.top().kind, PickleKind::opaque);
  EXPECT_EQ(tree.opaque, (std::set<std::string>{"torch.QInt8Storage"}));
}

TEST(Pickle, RefusesWhatIsNoTensor) {
  const std::string call = pickled_global("torch._utils", "_rebuild_tensor_v2");
  EXPECT_NE(complaint(pickle_of(call + ")R")).find("call that makes a tensor"), std::string::npos);
  EXPECT_NE(complaint(pickle_of(call + "(K\x01K\x02ttR")).find("closes a list"), std::string::npos);
  EXPECT_NE(complaint(pickle_of(pickled_tensor("FloatStorage", "0", -1, 0, {1}, {1})))
                .find("reference to a storage"),
            std::string::npos);
  EXPECT_NE(complaint(pickle_of(pickled_tensor("FloatStorage", "0", 1, 0,
                                               std::vector<int32_t>(65, 1), {1})))
                .find("shape of a tensor"),
            std::string::npos);
  EXPECT_NE(complaint(pickle_of(pickled_text("storage") + "Q")).find("reference to a storage"),
            std::string::npos);
}

/// The old format says of a storage whether it is a part of another one. Read as a whole one, its
/// numbers would be those of another place.
TEST(Pickle, AStorageWithinAnotherIsRefused) {
  const auto with_view = [](const std::string& view) {
    return pickle_of("(" + pickled_text("storage") + pickled_global("torch", "FloatStorage") +
                     pickled_text("7") + pickled_text("cpu") + "K\x04" + view + "tQ");
  };
  EXPECT_EQ(complaint(with_view("N")), "");
  EXPECT_NE(complaint(with_view(pickled_text("8") + "K\x02K\x02\x87"))
                .find("the storage \"7\" is a part of another one"),
            std::string::npos);
}

/// As Python 2 writes the identities of parameters, under which an optimizer keeps its state.
TEST(Pickle, ReadsIntegersThatAreTexts) {
  const PickleTree tree = read_pickle(pickle_of("I140234567890123\n"));
  EXPECT_EQ(tree.top().kind, PickleKind::integer);
  EXPECT_EQ(tree.top().integer, 140234567890123);
  EXPECT_EQ(read_pickle(pickle_of("I-5\n")).top().integer, -5);
  for (const char* wrong : {"I\n", "I1x\n", "I99999999999999999999\n"}) {
    EXPECT_NE(complaint(pickle_of(wrong)).find("no number of 64 bits"), std::string::npos) << wrong;
  }
  EXPECT_NE(complaint("\x80\x02I12").find("cut short"), std::string::npos);
}

TEST(Pickle, RefusesWhatIsNoPickle) {
  EXPECT_NE(complaint("").find("does not begin as a pickle"), std::string::npos);
  EXPECT_NE(complaint("(dp0\n.").find("does not begin as a pickle"), std::string::npos);
  EXPECT_NE(complaint("\x80\x09N.").find("protocol 9"), std::string::npos);
  EXPECT_NE(complaint("\x80\x02").find("cut short"), std::string::npos);
  EXPECT_NE(complaint("\x80\x02.").find("where there is none"), std::string::npos);
  EXPECT_NE(complaint("\x80\x02iposix\nsystem\n.").find("never writes"), std::string::npos);
  EXPECT_NE(complaint("\x80\x02}K\x01K\x02K\x03(0ss.").find("no dictionary"), std::string::npos);
  EXPECT_NE(complaint("\x80\x02"
                      "h\x05.")
                .find("value 5, which it has not kept"),
            std::string::npos);
  EXPECT_NE(complaint("\x80\x02K\x01"
                      "K\x02"
                      "a.")
                .find("no list"),
            std::string::npos);
  EXPECT_NE(complaint("\x80\x02}(K\x01u.").find("no dictionary"), std::string::npos);
  // A value below a mark belongs to somebody else.
  EXPECT_NE(complaint("\x80\x02K\x01(\x85.").find("where there is none"), std::string::npos);
}

TEST(Pickle, EveryCutIsRefused) {
  const std::string whole =
      pickle_of(pickled_dict({{"w", pickled_tensor("FloatStorage", "0", 4, 0, {2, 2}, {2, 1})}}));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(complaint(whole.substr(0, size)), "") << size;
  }
  EXPECT_EQ(complaint(whole), "");
}

TEST(Pickle, DeepNestingIsRefusedAndCostsNoStack) {
  EXPECT_NE(complaint("\x80\x02" + std::string(100'000, '(') + ".").find("1000 deep"),
            std::string::npos);
  // A tuple in a tuple in a tuple, without a mark: a tree of any depth, read without recursion.
  std::string nested = "\x80\x02N";
  for (int i = 0; i < 1'000'000; ++i) {
    nested += '\x85';
  }
  EXPECT_EQ(read_pickle(nested + ".").top().items.size(), 1U);
}

TEST(Pickle, AValueMayHoldItself) {
  const PickleTree tree = read_pickle(
      "\x80\x02]q\x01h\x01"
      "a.");
  ASSERT_EQ(tree.top().items.size(), 1U);
  EXPECT_EQ(tree.top().items[0], tree.root);
}

/// Lists that hold one list ten times, again and again: a tree of 10^60 leaves if it were unfolded.
TEST(Pickle, AMemoBombStaysSmall) {
  std::string bytes = "\x80\x02]q" + std::string(1, '\0');
  for (int level = 0; level < 60; ++level) {
    bytes += "](";
    for (int i = 0; i < 10; ++i) {
      bytes += "h" + std::string(1, static_cast<char>(level));
    }
    bytes += "eq" + std::string(1, static_cast<char>(level + 1));
  }
  const PickleTree tree = read_pickle(bytes + ".");
  EXPECT_LT(tree.values.size(), 200U);
}

/// One long text as the name of many values: each would copy it.
TEST(Pickle, ANameOfManyValuesIsCounted) {
  const auto put = [](uint8_t number) { return "q" + raw(number); };
  const auto get = [](uint8_t number) { return "h" + raw(number); };
  const std::string module(500, 'm');
  const std::string name(400, 'n');
  const std::string kept = "\x80\x04" + pickled_text(module) + put(0) + pickled_text(name) +
                           put(1) + pickled_global(module, name) + put(2) + "(" +
                           pickled_text("storage") + pickled_global("torch", "FloatStorage") +
                           pickled_text(std::string(900, 'k')) + pickled_text("cpu") + "K\x01t" +
                           put(3) + get(2) + ")R\x85" + put(4) +
                           pickled_global("torch._utils", "_rebuild_parameter") + put(5);
  const std::vector<std::string> bombs = {get(0) + get(1) + "\x93", get(2) + ")R", get(3) + "Q",
                                          get(5) + get(4) + "R"};
  for (const std::string& bomb : bombs) {
    const auto repeated = [&](int times) {
      std::string bytes = kept;
      for (int i = 0; i < times; ++i) {
        bytes += bomb;
      }
      return complaint(bytes + ".");
    };
    EXPECT_NE(repeated(100'000).find("bytes of names out of fewer"), std::string::npos)
        << testing::PrintToString(bomb);
    EXPECT_EQ(repeated(1000), "") << testing::PrintToString(bomb);
  }
}

/// One list of pairs as the argument of many calls: each call would copy all of it.
TEST(Pickle, CallsThatCopyAreCounted) {
  std::string bytes = "\x80\x02]q" + std::string("\x01(", 2);
  for (int i = 0; i < 20'000; ++i) {
    bytes += "NN\x86";
  }
  bytes += "e\x85q\x02" + pickled_global("collections", "OrderedDict") + "q\x03";
  for (int i = 0; i < 2000; ++i) {
    bytes += "h\x03h\x02R";
  }
  EXPECT_NE(complaint(bytes + ".").find("out of fewer"), std::string::npos);
}

TEST(Pickle, ManyValuesAndTensorsAreRefused) {
  EXPECT_NE(complaint("\x80\x02" + std::string(5'000'000, 'N') + ".").find("values"),
            std::string::npos);
  EXPECT_NE(complaint(pickle_of(pickled_global(std::string(2000, 'm'), "n"))).find("characters"),
            std::string::npos);
}

TEST(Pickle, AHugeLengthIsNoReasonToTakeMemory) {
  EXPECT_NE(complaint("\x80\x02X\xff\xff\xff\xff"
                      "abc.")
                .find("cut short"),
            std::string::npos);
  EXPECT_NE(complaint(std::string("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"
                                  "abc.",
                                  15))
                .find("cut short"),
            std::string::npos);
}

}  // namespace
}  // namespace bissl::host::test
