#include "stages/data_findings.h"

#include "base/spelling.h"
#include "data/guarded_dataset.h"
#include "data/target_rules.h"
#include "stages/identity.h"
#include "stages/stage_kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace bissl::host {
namespace {

/// The sources that a stage uses in one way.
std::set<std::string> names_of(const Stage& stage, bool DataUse::*use) {
  std::set<std::string> names;
  for (const DataUse& one : stage_kind(stage.kind).data(stage)) {
    if (one.*use) {
      names.insert(one.name);
    }
  }
  return names;
}

/// The sources that a stage and those before it train on.
std::set<std::string> trained_on(const Pipeline& pipeline, const Stage& stage) {
  std::set<std::string> names;
  for (const Stage* at = &stage; at != nullptr;
       at = at->from.empty() ? nullptr : &pipeline.stage(at->from)) {
    names.merge(names_of(*at, &DataUse::trains));
  }
  return names;
}

std::string extent(const DataContent& content) {
  return content.complete() ? fmt::format("{} images", content.samples)
                            : fmt::format("{} images that were looked at (of {})",
                                          content.looked_at, content.samples);
}

/// The names of the categories or labels that no chosen sample has: those that `limit` and the like
/// left out, and those that the data has none of.
struct Absent {
  std::vector<std::string> emptied;
  std::vector<std::string> never;
};

Absent absent(const DataView& view, const std::vector<int64_t>& counts) {
  Absent names;
  for (size_t place = 0; place < counts.size(); ++place) {
    if (counts[place] == 0) {
      (view.available()[place] > 0 ? names.emptied : names.never)
          .push_back(view.targets().names[place]);
    }
  }
  return names;
}

void add_class_findings(const std::string& name, const DataView& view,
                        std::vector<std::string>& found) {
  const std::vector<int64_t> counts = samples_by_class(view);
  const auto [emptied, never] = absent(view, counts);
  if (emptied.size() + never.size() + 1 == counts.size()) {
    const auto present =
        std::find_if(counts.begin(), counts.end(), [](int64_t n) { return n > 0; });
    found.push_back(fmt::format(
        "data.{}: one class only: all {} samples are of class \"{}\" ({} classes are declared), so "
        "a constant answer is always right and accuracies mean nothing",
        spelled_key(name), view.size(), view.targets().names[present - counts.begin()],
        counts.size()));
  } else if (!counts.empty() && *std::max_element(counts.begin(), counts.end()) == 1) {
    found.push_back(fmt::format(
        "data.{}: no class has more than one sample ({} samples of {} classes): that is too little "
        "to learn a class from, to hold a part out and to score on",
        spelled_key(name), view.size(), counts.size()));
  }
  if (!emptied.empty()) {
    found.push_back(fmt::format(
        "data.{}: {} of {} classes have no samples left: {}. The data has some; limit, per_class "
        "or skip_per_class left them out",
        spelled_key(name), emptied.size(), counts.size(), some_of(emptied)));
  }
  if (!never.empty()) {
    found.push_back(fmt::format("data.{}: {} of {} classes have no samples in the data: {}",
                                spelled_key(name), never.size(), counts.size(), some_of(never)));
  }
}

void add_label_findings(const std::string& name, const DataView& view,
                        std::vector<std::string>& found) {
  const std::vector<int64_t> counts = samples_by_class(view);
  const auto [emptied, never] = absent(view, counts);
  const char* const effect = "so nothing can be learnt of them and no mean over labels counts them";
  if (!emptied.empty()) {
    found.push_back(fmt::format(
        "data.{}: {} of {} labels are of no sample that is left: {}. The data has some; limit left "
        "them out, {}",
        spelled_key(name), emptied.size(), counts.size(), some_of(emptied), effect));
  }
  if (!never.empty()) {
    found.push_back(fmt::format("data.{}: {} of {} labels are of no sample in the data: {}, {}",
                                spelled_key(name), never.size(), counts.size(), some_of(never),
                                effect));
  }
}

/// The labels that every sample has, and values that are one number.
void add_constant_findings(const std::string& name, const DataView& view,
                           std::vector<std::string>& found) {
  const TargetSpec& targets = view.targets();
  std::vector<std::string> constant;
  for (const size_t place : constant_targets(view)) {
    constant.push_back(targets.names.empty() ? fmt::format("number {}", place)
                                             : targets.names[place]);
  }
  if (!constant.empty()) {
    found.push_back(fmt::format(
        "data.{}: {} of {} {}: {}, so a constant answer is always right and nothing is learnt",
        spelled_key(name), constant.size(), targets.width,
        targets.kind == TargetKind::values
            ? fmt::format("values are the same in all {} samples", view.size())
            : fmt::format("labels are of all {} samples", view.size()),
        some_of(constant)));
  }
}

void add_mask_findings(const std::string& name, const DataView& view, const DataContent& content,
                       std::vector<std::string>& found) {
  const std::vector<std::string>& classes = view.targets().names;
  if (content.mask_categories.none()) {
    found.push_back(fmt::format(
        "data.{}: no pixel of the masks counts in the {}, so nothing can be learnt of them",
        spelled_key(name), extent(content)));
  }
  for (size_t k = 0; k < classes.size(); ++k) {
    if (content.mask_categories.count() == 1 && content.mask_categories.test(k)) {
      found.push_back(fmt::format(
          "data.{}: one class only: all pixels of the masks that count are of class \"{}\" in the "
          "{} ({} classes are declared), so a constant answer is always right and accuracies mean "
          "nothing",
          spelled_key(name), classes[k], extent(content), classes.size()));
    }
  }
}

void add_image_findings(const std::string& name, const DataContent& content,
                        std::vector<std::string>& found) {
  if (content.distinct == 1 && content.looked_at > 1) {
    found.push_back(fmt::format("data.{}: all of the {} are the same image", spelled_key(name),
                                extent(content)));
  }
  if (content.one_value > 0) {
    found.push_back(fmt::format(
        "data.{}: {} of the {} are of one value (all their pixels are equal), so they show nothing",
        spelled_key(name), content.one_value, extent(content)));
  }
}

std::string note_text(const std::string& name, const std::string& note) {
  return fmt::format("data.{}: {}", spelled_key(name), note);
}

void add_duplicates(const std::string& trained, const std::string& scored, DataCatalog& data,
                    std::vector<std::string>& found) {
  const auto train = data.content(trained);
  const auto test = data.content(scored);
  const int64_t shared = shared_images(*test, *train);
  if (shared > 0) {
    found.push_back(fmt::format(
        "data.{}, which is scored on, shares images with data.{}, which is trained on: {} of the "
        "{} different images among {} of the one are among the {} of the other. The scores are too "
        "good for new data",
        spelled_key(scored), spelled_key(trained), shared, test->distinct, extent(*test),
        extent(*train)));
  }
}

}  // namespace

std::vector<std::string> data_notes(const Pipeline& pipeline, DatasetCache& datasets) {
  std::set<std::string> names;
  for (const Stage& stage : pipeline.stages) {
    const std::vector<std::string> used = data_names(stage.table);
    names.insert(used.begin(), used.end());
  }
  std::vector<std::string> notes;
  for (const std::string& name : names) {
    for (const std::string& note : notes_of(*datasets.open(pipeline.data_source(name).dataset))) {
      notes.push_back(note_text(name, note));
    }
  }
  return notes;
}

bool is_about_data(const std::string& warning) { return warning.starts_with("data."); }

std::vector<std::string> data_findings(const Pipeline& pipeline, const Stage& stage,
                                       DataCatalog& data) {
  std::vector<std::string> found;
  for (const std::string& name : names_of(stage, &DataUse::labels)) {
    const auto view = data.open(name);
    const TargetKind kind = view->targets().kind;
    if (kind == TargetKind::category) {
      add_class_findings(name, *view, found);
    }
    if (kind == TargetKind::multi_label) {
      add_label_findings(name, *view, found);
    }
    if (kind == TargetKind::multi_label || kind == TargetKind::values) {
      add_constant_findings(name, *view, found);
    }
    if (kind == TargetKind::mask) {
      add_mask_findings(name, *view, *data.content(name), found);
    }
  }
  const std::vector<std::string> names = data_names(stage.table);
  for (const std::string& name : std::set<std::string>(names.begin(), names.end())) {
    add_image_findings(name, *data.content(name), found);
    for (const std::string& note : data.notes(name)) {
      found.push_back(note_text(name, note));
    }
  }
  for (const std::string& scored : names_of(stage, &DataUse::scores)) {
    for (const std::string& trained : trained_on(pipeline, stage)) {
      add_duplicates(trained, scored, data, found);
    }
  }
  return found;
}

}  // namespace bissl::host
