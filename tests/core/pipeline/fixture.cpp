#include "fixture.h"

#include <algorithm>

namespace bissl::host::test {

ParameterSpec parameter(const std::string& name, Value value) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = type_of(value);
  spec.default_value = std::move(value);
  spec.doc = name;
  return spec;
}

namespace {

struct SgdOptions {
  double lr = 0.1;
  double momentum = 0.9;
  bool nesterov = false;
  std::optional<double> clip;
};

Schema<SgdOptions> sgd_schema() {
  Schema<SgdOptions> schema;
  schema.add("lr", &SgdOptions::lr, "learning rate").more_than(0).required();
  schema.add("momentum", &SgdOptions::momentum, "momentum").at_least(0).less_than(1);
  schema.add("nesterov", &SgdOptions::nesterov, "look ahead");
  schema.add("clip", &SgdOptions::clip, "largest norm").more_than(0);
  schema.rule([](const SgdOptions& options, std::vector<Finding>& findings) {
    if (options.nesterov && options.momentum == 0) {
      findings.push_back({Finding::Severity::error, "nesterov", "needs a momentum"});
    }
    if (options.lr > 10) {
      findings.push_back({Finding::Severity::warning, "lr", "is very large"});
    }
  });
  return schema;
}

ParameterSpec at_least(double bound, ParameterSpec spec) {
  spec.minimum = bound;
  return spec;
}

ParameterSpec required(const std::string& name, ValueType type) {
  ParameterSpec spec;
  spec.name = name;
  spec.type = type;
  spec.required = true;
  spec.doc = name;
  return spec;
}

ParameterSpec names_data(ParameterSpec spec) {
  spec.traits["names_data"] = true;
  return spec;
}

ParameterSpec choice(const std::string& name, std::vector<std::string> choices) {
  ParameterSpec spec = parameter(name, choices.front());
  spec.choices = std::move(choices);
  return spec;
}

TableSpec schedule() {
  TableSpec spec;
  spec.parameters = {choice("use", {"cosine", "constant"}),
                     at_least(0, parameter("warmup_epochs", int64_t{0}))};
  return spec;
}

TableSpec training() {
  TableSpec spec;
  spec.parameters = {names_data(required("data", ValueType::string)),
                     at_least(1, parameter("batch", int64_t{256}))};
  spec.components = {{"augment", ComponentKind::augmentation, true, ""},
                     {"optimizer", ComponentKind::optimizer, true, ""}};
  spec.tables = {{"schedule", schedule(), false, ""}};
  return spec;
}

StageKindSpec pretrain_kind() {
  StageKindSpec kind;
  kind.name = "pretrain";
  kind.table = training();
  kind.table.parameters.push_back(at_least(1, parameter("epochs", int64_t{100})));
  kind.hands_on = {"backbone"};
  return kind;
}

StageKindSpec bissl_kind() {
  StageKindSpec kind;
  kind.name = "bissl";
  kind.table.parameters = {at_least(1, parameter("rounds", int64_t{100})),
                           at_least(0, parameter("lambda", 0.001))};
  kind.table.components = {{"hypergradient", ComponentKind::hypergradient, true, ""}};
  TableSpec lower = training();
  lower.parameters.push_back(at_least(1, parameter("steps", int64_t{20})));
  TableSpec upper;
  upper.parameters = {names_data(required("data", ValueType::string))};
  kind.table.tables = {{"lower", lower, true, ""}, {"upper", upper, true, ""}};
  kind.table.tables.front().inherits_from = "pretrain";
  kind.needs_parent = true;
  kind.hands_on = {"backbone"};
  return kind;
}

StageKindSpec finetune_kind() {
  StageKindSpec kind;
  kind.name = "finetune";
  kind.table = training();
  TableSpec evaluate;
  evaluate.parameters = {names_data(required("data", ValueType::string))};
  kind.table.tables.push_back({"evaluate", evaluate, false, ""});
  kind.needs_parent = true;
  return kind;
}

StageKindSpec knn_kind() {
  StageKindSpec kind;
  kind.name = "knn";
  kind.table.parameters = {names_data(parameter("data", std::vector<std::string>{})),
                           at_least(1, parameter("neighbours", int64_t{20}))};
  kind.table.check = [](const ParameterValues& values) {
    std::vector<Finding> findings;
    if (std::get<int64_t>(values.at("neighbours")) % 2 == 0) {
      findings.push_back({Finding::Severity::warning, "neighbours", "an even number can tie"});
    }
    return findings;
  };
  kind.needs_parent = true;
  return kind;
}

}  // namespace

const char* const head =
    "name = \"test\"\n"
    "[data.train]\n"
    "use = \"digits\"\n"
    "[model.backbone]\n"
    "use = \"tiny\"\n";

const char* const pretrain =
    "[stage.pretrain]\n"
    "kind = \"pretrain\"\n"
    "data = \"train\"\n"
    "augment = { use = \"crop\", size = 24 }\n"
    "optimizer = { use = \"sgd\", lr = 0.5, momentum = 0.8 }\n"
    "schedule = { use = \"cosine\", warmup_epochs = 2 }\n"
    "batch = 64\n"
    "epochs = 3\n";

FakeComponents::FakeComponents() {
  add(ComponentKind::dataset, "digits-lib", "digits",
      {choice("split", {"train", "test"}), at_least(0, parameter("noise", 0.0))});
  add(ComponentKind::dataset, "digits-lib", "clothes", {parameter("folder", std::string("/data"))});
  add(ComponentKind::backbone, "nets", "tiny", {at_least(1, parameter("width", int64_t{8}))});
  add(ComponentKind::augmentation, "views", "crop", {at_least(1, parameter("size", int64_t{28}))});
  add(ComponentKind::augmentation, "views", "flip", {parameter("scale", std::vector<double>{1})});
  const Schema<SgdOptions> sgd = sgd_schema();
  add(ComponentKind::optimizer, "descent", "sgd", sgd.specs(),
      [sgd](const ParameterValues& values) { return sgd.check(values); });
  add(ComponentKind::optimizer, "descent", "adamw", {required("lr", ValueType::floating)});
  add(ComponentKind::hypergradient, "solvers", "cg",
      {at_least(1, parameter("iterations", int64_t{5})), parameter("damping", 10.0)});
  add(ComponentKind::hypergradient, "solvers", "neumann", {parameter("terms", int64_t{5})});
}

std::shared_ptr<const RegisteredComponent> FakeComponents::find(ComponentKind kind,
                                                                const std::string& name) const {
  for (const auto& component : components_) {
    if (component->info.kind == kind &&
        (component->info.text.name == name || component->qualified_name() == name)) {
      return component;
    }
  }
  return nullptr;
}

std::vector<FolderProblem> FakeComponents::add_folder(const std::filesystem::path& folder) {
  asked_folders.push_back(folder);
  if (const auto offer = offers_.find(folder); offer != offers_.end()) {
    add(offer->second.first, "offered", offer->second.second);
    return {};
  }
  if (const auto spoilt = spoilt_.find(folder); spoilt != spoilt_.end()) {
    refused_.push_back(spoilt->second);
    return {{false, spoilt->second + " is not a library"}};
  }
  return {{true, "no such folder"}};
}

void FakeComponents::spoil(const std::filesystem::path& folder, const std::string& library) {
  spoilt_[folder] = library;
}

void FakeComponents::add(ComponentKind kind, const std::string& library, const std::string& name,
                         std::vector<ParameterSpec> parameters,
                         std::function<std::vector<Finding>(const ParameterValues&)> check) {
  auto component = std::make_shared<RegisteredComponent>();
  component->info.kind = kind;
  component->info.text.name = name;
  component->info.parameters = std::move(parameters);
  component->info.check = std::move(check);
  component->library = {"/lib/" + library + ".so", library, "1.2.3", "MIT"};
  components_.push_back(std::move(component));
}

void FakeComponents::add_renamed(ComponentKind kind, const std::string& library,
                                 const std::string& name, std::vector<std::string> formerly) {
  add(kind, library, name);
  auto changed = std::make_shared<RegisteredComponent>(*components_.back());
  changed->info.text.formerly = std::move(formerly);
  components_.back() = std::move(changed);
}

void FakeComponents::offer(const std::filesystem::path& folder, ComponentKind kind,
                           const std::string& name) {
  offers_[folder] = {kind, name};
}

void FakeComponents::set_version(const std::string& library, const std::string& version) {
  for (auto& component : components_) {
    if (component->library.name == library) {
      auto changed = std::make_shared<RegisteredComponent>(*component);
      changed->library.version = version;
      component = std::move(changed);
    }
  }
}

std::vector<StageKindSpec> stage_kinds() {
  return {pretrain_kind(), bissl_kind(), finetune_kind(), knn_kind()};
}

TableSpec data_selection() {
  TableSpec spec;
  spec.parameters = {parameter("classes", std::vector<std::string>{}),
                     at_least(0, parameter("per_class", int64_t{0}))};
  return spec;
}

ReadResult PipelineTest::read(const std::vector<std::string>& overrides, const std::string& name) {
  return read_pipeline({folder_.path() / name, overrides, components_, kinds_, selection_});
}

ReadResult PipelineTest::read_text(const std::string& text,
                                   const std::vector<std::string>& overrides) {
  write("p.toml", text);
  return read(overrides);
}

Pipeline PipelineTest::sound(const std::string& text, const std::vector<std::string>& overrides) {
  ReadResult result = read_text(text, overrides);
  if (!result.pipeline) {
    throw std::runtime_error("not sound:\n" + to_text(result.diagnostics));
  }
  return std::move(*result.pipeline);
}

std::vector<std::string> PipelineTest::lines(const ReadResult& result) const {
  const std::string prefix = folder_.path().string() + "/";
  std::vector<std::string> found;
  for (const Diagnostic& diagnostic : result.diagnostics) {
    std::string line = diagnostic.text();
    for (size_t at = line.find(prefix); at != std::string::npos; at = line.find(prefix)) {
      line.erase(at, prefix.size());
    }
    found.push_back(line);
  }
  return found;
}

}  // namespace bissl::host::test
