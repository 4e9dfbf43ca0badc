#include "pipeline/pipeline.h"

#include "bissl/error.h"

namespace bissl {
namespace {

template <class Item>
const Item& named(const std::vector<Item>& items, const std::string& name, const char* what) {
  for (const Item& item : items) {
    if (item.name == name) {
      return item;
    }
  }
  fail_run("the pipeline has no {} \"{}\"", what, name);
}

}  // namespace

const DataSource& Pipeline::data_source(const std::string& name) const {
  return named(data, name, "data source");
}

const Stage& Pipeline::stage(const std::string& name) const { return named(stages, name, "stage"); }

}  // namespace bissl
