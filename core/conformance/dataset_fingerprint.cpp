#include "bissl/data_files.h"
#include "bissl/file_sequence.h"
#include "bissl/hash.h"
#include "bissl/sample_names.h"
#include "conformance/dataset_samples.h"
#include "conformance/surroundings.h"
#include "plugins/child_process.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <sstream>
#include <thread>

namespace bissl::host {
namespace {

/// Whether a text among the values names something below the current folder: a dataset that reads
/// it cannot be made in another one.
bool has_relative_path(const ParameterValues& values) {
  const auto is_path = [](const std::string& text) {
    std::error_code error;
    const std::filesystem::path path(text);
    return !text.empty() && path.is_relative() && std::filesystem::exists(path, error);
  };
  for (const auto& [name, value] : values) {
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && is_path(*text)) {
      return true;
    }
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
      if (std::any_of(texts->begin(), texts->end(), is_path)) {
        return true;
      }
    }
  }
  return false;
}

/// Fingerprint and digest of an instance in another process; empty where that gave no answer.
std::vector<std::string> seen_elsewhere(const Checker& checker) {
  const ChildOutcome outcome = run_in_child(std::chrono::seconds(10), [&](const SendLine& send) {
    const auto dataset = checker.make<Dataset>();
    send(hash_hex(dataset->fingerprint()));
    send(digest_of(*dataset, 64));
  });
  std::istringstream lines(outcome.answer);
  return {std::istream_iterator<std::string>(lines), {}};
}

void check_stays(const Checker& checker, const Dataset& dataset) {
  const std::string fingerprint = dataset.fingerprint();
  require(!fingerprint.empty(), "it is empty; hash the content with Hasher");
  require(std::none_of(fingerprint.begin(), fingerprint.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20; }),
          "it has characters that are no text; give Hasher::hex()");
  require(dataset.fingerprint() == fingerprint, "it differs at a second call");
  const auto second = checker.make<Dataset>();
  const auto third = checker.make<Dataset>();
  require(second->fingerprint() == fingerprint && third->fingerprint() == fingerprint,
          "it differs in a second instance");
  for (const int64_t index : some_indices(dataset.size(), 16)) {
    second->get(index);
  }
  require(second->fingerprint() == fingerprint, "it differs after samples were read");
  std::string in_thread = fingerprint;
  std::thread([&] {
    try {
      in_thread = dataset.fingerprint();
    } catch (const std::exception& exception) {
      in_thread = exception.what();
    }
  }).join();
  require(in_thread == fingerprint, "it differs in another thread");
  if (!has_relative_path(checker.choice().values)) {
    const OtherFolder other;
    require(dataset.fingerprint() == fingerprint &&
                checker.make<Dataset>()->fingerprint() == fingerprint,
            "it differs in another current folder; hash the content, not where it lies");
  }
  const std::vector<std::string> elsewhere = seen_elsewhere(checker);
  if (elsewhere.size() == 2) {
    require(elsewhere[0] == hash_hex(fingerprint), "it differs in another process");
    require(elsewhere[1] == digest_of(dataset, 64),
            "it stays, but samples or targets() differ in another process");
  }
}

/// Other values for a parameter. Texts without choices have none.
std::vector<Value> others(const ParameterSpec& spec, const Value& value) {
  std::vector<Value> values;
  if (const auto* flag = std::get_if<bool>(&value)) {
    values = {Value(!*flag)};
  } else if (const auto* integer = std::get_if<int64_t>(&value)) {
    values = {Value(*integer + 1), Value(*integer - 1), Value(*integer / 2)};
  } else if (const auto* real = std::get_if<double>(&value)) {
    values = {Value(*real * 0.5), Value(*real * 1.5), Value(*real + 0.25)};
  } else if (spec.type == ValueType::string) {
    for (const std::string& choice : spec.choices) {
      values.emplace_back(choice);
    }
  }
  std::erase_if(values, [&](const Value& one) {
    return one == value || type_of(one) != spec.type || !spec.refusal(one).empty();
  });
  return values;
}

/// Tries other values for the parameters that the user left alone. Returns whether one of them
/// changed the content.
bool check_changes(const Checker& checker, const Dataset& dataset) {
  constexpr int64_t samples = 256;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(8);
  const std::string digest = digest_of(dataset, samples);
  const std::string fingerprint = dataset.fingerprint();
  const ComponentInfo& info = checker.choice().component->info;
  const auto own_instance = checker.make<Dataset>();
  const bool of_files = capability<DataFiles>(*own_instance) != nullptr ||
                        capability<FileSequence>(*own_instance) != nullptr;
  bool changed = false;
  for (const ParameterSpec& spec : info.parameters) {
    const Value own = checker.choice().values.at(spec.name);
    // Parameters say how files are read, and they are compared as well.
    const bool compared = of_files && !spec.execution_only();
    if (compared || checker.given().count(spec.name) > 0) {
      continue;
    }
    for (const Value& value : others(spec, own)) {
      if (std::chrono::steady_clock::now() > end) {
        return changed;
      }
      ComponentChoice choice = checker.choice();
      choice.values[spec.name] = value;
      std::string other_digest = digest;
      std::string other_fingerprint;
      try {
        const auto other = choice.create<Dataset>(DatasetContext{});
        other_digest = digest_of(*other, samples);
        other_fingerprint = other->fingerprint();
      } catch (const std::exception&) {
        continue;  // it may refuse the value
      }
      require(!spec.execution_only() || other_digest == digest,
              "{0} is declared execution_only, but {0} = {1} gives other samples or targets than "
              "{2}: it is in no stage's key, so finished stages would be taken for the other "
              "data's. Declare it without",
              spec.name, to_toml(value), to_toml(own));
      changed = changed || other_digest != digest;
      require(other_digest == digest || other_fingerprint != fingerprint,
              "{} = {} gives other samples, targets or names than {}, but the same "
              "fingerprint: finished stages would be taken for the other data's; hash all content",
              spec.name, to_toml(value), to_toml(own));
    }
  }
  return changed;
}

/// The host works out the fingerprint itself from the files that a dataset names.
void check_files(const DataFiles& files, const Dataset& dataset) {
  const std::vector<DataFile> named = files.data_files();
  require(!named.empty(), "data_files() names no file");
  const std::vector<DataFile> again = files.data_files();
  require(std::equal(named.begin(), named.end(), again.begin(), again.end(),
                     [](const DataFile& left, const DataFile& right) {
                       return left.name == right.name && left.path == right.path;
                     }),
          "data_files() differs at a second call");
  for (const DataFile& file : named) {
    require(!file.name.empty() && file.name.front() != '/',
            "the name \"{}\" of the file {} is not relative to the dataset's folder", file.name,
            file.path);
  }
  require(dataset.fingerprint() == fingerprint_of_files(named),
          "fingerprint() is not fingerprint_of_files(data_files()), which the host takes");
}

void check_sequence(const FileSequence& files, const Dataset& dataset) {
  require(files.file_count() > 0, "file_count() is {}", files.file_count());
  for (const int64_t place : {int64_t{0}, files.file_count() - 1}) {
    const DataFile file = files.data_file(place);
    require(file.name == files.data_file(place).name && file.path == files.data_file(place).path,
            "data_file({}) differs at a second call", place);
    require(!file.name.empty() && file.name.front() != '/',
            "the name \"{}\" of the file {} is not relative to the dataset's folder", file.name,
            file.path);
  }
  require(dataset.fingerprint() == fingerprint_of_sequence(files),
          "fingerprint() is not fingerprint_of_sequence of the files, which the host takes");
}

void check_names(const SampleNames& names, const SampleNames& of_another, const Dataset& dataset) {
  const std::vector<int64_t> indices = some_indices(dataset.size(), 100);
  std::vector<std::string> expected;
  for (const int64_t i : indices) {
    expected.push_back(names.sample_name(i));
    require(!expected.back().empty(), "sample_name({}) is empty", i);
    require(expected.back() == names.sample_name(i), "sample_name({}) differs at a second call", i);
  }
  for (size_t place = indices.size(); place > 0; --place) {
    const int64_t i = indices[place - 1];
    dataset.get(i);
    require(names.sample_name(i) == expected[place - 1],
            "sample_name({}) differs after samples were read, or in another order", i);
    require(of_another.sample_name(i) == expected[place - 1],
            "sample_name({}) is \"{}\" in another instance, and \"{}\" in the first", i,
            of_another.sample_name(i), expected[place - 1]);
  }
}

}  // namespace

void check_fingerprint(Checker& checker, const Dataset& dataset) {
  checker.check("the fingerprint is a text that stays the same",
                [&] { check_stays(checker, dataset); });
  checker.check("the files that it names are those of the fingerprint", [&] {
    // Another instance is used for the ability, since a call may change one.
    const auto own = checker.make<Dataset>();
    const auto* files = capability<DataFiles>(*own);
    const auto* sequence = capability<FileSequence>(*own);
    if (files == nullptr && sequence == nullptr) {
      throw NotApplicable("it does not name its files");
    }
    if (files != nullptr) {
      check_files(*files, *own);
    }
    if (sequence != nullptr) {
      check_sequence(*sequence, *own);
    }
  });
  checker.check("samples keep their names", [&] {
    const auto own = checker.make<Dataset>();
    const auto* names = capability<SampleNames>(*own);
    if (names == nullptr) {
      throw NotApplicable("it does not name its samples");
    }
    const auto another = checker.make<Dataset>();
    const auto* other_names = capability<SampleNames>(*another);
    require(other_names != nullptr, "one instance names its samples, another does not");
    check_names(*names, *other_names, *own);
  });
  checker.check("the fingerprint changes with the content", [&] {
    if (!check_changes(checker, dataset)) {
      throw NotApplicable("no parameter that can be varied changes the content");
    }
  });
}

}  // namespace bissl::host
