#include "../../plugins/datasets/list_file.h"
#include "targets.h"

namespace bissl::host::test {

void fuzz_image_list(std::string_view bytes) {
  refusing([&] {
    const ListContent content = read_list(bytes, "list.csv");
    for (int64_t i = 0; i < content.images.size(); ++i) {
      const int32_t label = content.images.label(i);
      promise(label >= -1 && label < static_cast<int32_t>(content.labels.size()),
              "each label of an image is one of the list's");
      promise(!content.images.path(i).empty(), "each image has a path");
    }
  });
}

}  // namespace bissl::host::test
