#include "stages/import/options.h"

#include "bissl/error.h"
#include "stages/option_schemas.h"

namespace bissl::host {
namespace {

struct RuleOptions {
  std::string container;
  std::string prefix;
  std::vector<std::string> drop;
  std::vector<std::string> rename;
};

struct HeadOptions {
  std::string data;
};

std::vector<std::string> sources() {
  std::vector<std::string> names = {detected_source};
  for (const KeyRule& rule : key_rules()) {
    names.push_back(rule.name);
  }
  return names;
}

const Schema<ImportOptions>& import_schema() {
  static const Schema<ImportOptions> schema = [] {
    Schema<ImportOptions> s;
    s.add("file", &ImportOptions::file,
          "the weights: a safetensors file, or what torch.save writes (.pth, .pt, .ckpt); its "
          "content, not its place, is part of the stage's key")
        .required()
        .path()
        .execution_only();
    s.add("source", &ImportOptions::source,
          "whose names the file has; \"detect\" takes the rule that finds most names")
        .choices(sources());
    s.add("allow", &ImportOptions::allow,
          "names, or beginnings or patterns of names, that may be missing, too many or of another "
          "shape; what is missing stays at random");
    s.add("channels", &ImportOptions::channels,
          "channels of the images that the stages after it see")
        .at_least(1)
        .unit("channels");
    s.add("size", &ImportOptions::size,
          "height and width of those images; of no effect on networks that take any size")
        .at_least(1)
        .unit("pixels");
    return s;
  }();
  return schema;
}

const Schema<RuleOptions>& rule_schema() {
  static const Schema<RuleOptions> schema = [] {
    Schema<RuleOptions> s;
    s.add("container", &RuleOptions::container,
          "keys that lead to the names in the file, with dots: \"state_dict\"; empty: its top");
    s.add("prefix", &RuleOptions::prefix,
          "what is before the backbone's names, with its dot: \"module.encoder_q.\"");
    s.add("drop", &RuleOptions::drop,
          "names behind the prefix, or beginnings or patterns of names, that are not the "
          "backbone's: \"fc\"");
    s.add("rename", &RuleOptions::rename,
          "\"OLD=NEW\": parts of names between dots, and what they become; \"^OLD=NEW\" at the "
          "beginning alone");
    return s;
  }();
  return schema;
}

const Schema<HeadOptions>& head_schema() {
  static const Schema<HeadOptions> schema = [] {
    Schema<HeadOptions> s;
    add_data(s, &HeadOptions::data,
             "data source with the head's classes, in the order of its outputs");
    return s;
  }();
  return schema;
}

}  // namespace

ImportOptions parse_import(const Table& table) { return import_schema().parse(table.values); }

std::optional<KeyRule> own_rule(const Table& table) {
  if (!table.has_table("rule")) {
    return std::nullopt;
  }
  const RuleOptions options = rule_schema().parse(table.table("rule").values);
  KeyRule rule{.name = "of the stage",
               .summary = "",
               .containers = {options.container},
               .prefixes = {options.prefix},
               .drop = options.drop};
  for (const std::string& text : options.rename) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || text.substr(0, equals) == "^") {
      fail_input("rule.rename: \"{}\" is not of the form \"OLD=NEW\"", text);
    }
    rule.rename.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return rule;
}

std::optional<std::string> head_data(const Table& table) {
  return table.has_table("head")
             ? std::optional(head_schema().parse(table.table("head").values).data)
             : std::nullopt;
}

StageKindSpec import_spec() {
  TableSpec head = table_of(head_schema());
  head.components = {downstream_slot()};
  StageKindSpec kind;
  kind.name = "import";
  kind.summary = "takes the backbone's weights from a file of another program";
  kind.table = table_of(import_schema(), {{"source", "rule"}});
  kind.table.tables = {
      {"rule", table_of(rule_schema()), false,
       "in the place of `source`: how the file's names become the backbone's"},
      {"head", head, false,
       "takes the classifier from the file, too, so that an evaluate stage can follow"}};
  kind.hands_on = {"backbone", "head"};
  kind.is_root = true;
  kind.made_anew = {"pretext"};
  return kind;
}

}  // namespace bissl::host
