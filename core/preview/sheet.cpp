#include "preview/sheet.h"

#include "bissl/random.h"
#include "data/view_maker.h"
#include "preview/marks.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bissl::host {
namespace {

constexpr int64_t gap = 4;             ///< pixels between pictures
constexpr int64_t least_side = 96;     ///< smaller pictures are enlarged
constexpr int64_t largest_side = 256;  ///< larger ones are reduced
constexpr uint8_t background = 48;
constexpr int64_t frame_width = 4;
constexpr int64_t label_gap = 3;  ///< pixels between a frame and its label

/// A picture of float values in planes.
struct Picture {
  ImageShape shape;
  std::vector<float> values;

  float at(int64_t channel, int64_t row, int64_t column) const {
    return values[static_cast<size_t>((channel * shape.height + row) * shape.width + column)];
  }
};

Picture picture_of(const Image& image) {
  Picture picture{image.shape, std::vector<float>(static_cast<size_t>(image.shape.elements()))};
  size_t next = 0;
  for (int64_t channel = 0; channel < image.shape.channels; ++channel) {
    for (int64_t i = 0; i < image.shape.height * image.shape.width; ++i) {
      const int64_t place = i * image.shape.channels + channel;
      picture.values[next++] = image.type == PixelType::uint16
                                   ? static_cast<float>(image.pixels16()[place]) / 257.0F
                                   : image.pixels[place];
    }
  }
  return picture;
}

/// A sample's image, then its views.
std::vector<Picture> pictures_of(const ViewRecipe& recipe, const Augmentation& augmentation,
                                 const DataView& data, int64_t number, uint64_t seed) {
  const Sample sample = data.get(number);
  std::vector<Picture> pictures = {picture_of(sample.image)};
  for (int64_t view = 0; view < recipe.views; ++view) {
    const ImageShape shape = augmentation.view_shape(sample.image.shape, view);
    Picture picture{shape, std::vector<float>(static_cast<size_t>(shape.elements()))};
    RandomStream stream(seed, "preview/" + recipe.place, 0, static_cast<uint64_t>(number),
                        static_cast<uint64_t>(view));
    augmentation.apply(sample.image, view, stream, picture.values);
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

/// The size at which a picture of this size is drawn.
struct Drawn {
  int64_t height;
  int64_t width;
};

Drawn drawn_size(const ImageShape& shape) {
  const int64_t longer = std::max(shape.height, shape.width);
  if (longer > largest_side) {
    const double scale = double(largest_side) / double(longer);
    return {std::max<int64_t>(1, std::llround(double(shape.height) * scale)),
            std::max<int64_t>(1, std::llround(double(shape.width) * scale))};
  }
  const int64_t factor = std::max<int64_t>(1, least_side / longer);
  return {factor * shape.height, factor * shape.width};
}

/// The range of values that is drawn from black to white.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(const Picture& picture) {
    for (const float value : picture.values) {
      if (std::isfinite(value)) {
        low = std::min<double>(low, value);
        high = std::max<double>(high, value);
      }
    }
  }
  uint8_t byte(float value) const {
    if (!std::isfinite(value) || high <= low) {
      return 0;
    }
    return static_cast<uint8_t>(std::lround(255 * (value - low) / (high - low)));
  }
};

void draw(const Picture& picture, const Range& range, const Drawn& size, int64_t top, int64_t left,
          Canvas& canvas) {
  const bool coloured = picture.shape.channels >= 3;
  for (int64_t row = 0; row < size.height; ++row) {
    const int64_t from_row = row * picture.shape.height / size.height;
    for (int64_t column = 0; column < size.width; ++column) {
      const int64_t from_column = column * picture.shape.width / size.width;
      uint8_t* pixel = canvas.pixel(top + row, left + column);
      for (int64_t channel = 0; channel < 3; ++channel) {
        pixel[channel] = range.byte(picture.at(coloured ? channel : 0, from_row, from_column));
      }
    }
  }
}

/// Places of a grid whose rows and columns are as large as their largest picture.
struct Grid {
  std::vector<int64_t> tops;
  std::vector<int64_t> lefts;

  /// `between`: pixels from one picture to the next; `below`: more of them below each row.
  Grid(const std::vector<std::vector<Picture>>& rows, int64_t between, int64_t below = 0)
      : tops({between}), lefts({between}) {
    std::vector<int64_t> widths;
    for (const auto& row : rows) {
      int64_t height = 0;
      widths.resize(std::max(widths.size(), row.size()), 0);
      for (size_t i = 0; i < row.size(); ++i) {
        const Drawn size = drawn_size(row[i].shape);
        height = std::max(height, size.height);
        widths[i] = std::max(widths[i], size.width);
      }
      tops.push_back(tops.back() + height + below + between);
    }
    for (const int64_t width : widths) {
      lefts.push_back(lefts.back() + width + between);
    }
  }
};

/// A line of `frame_width` pixels around a place of this size.
void draw_frame(const std::array<uint8_t, 3>& colour, const Drawn& size, int64_t top, int64_t left,
                Canvas& canvas) {
  for (int64_t row = -frame_width; row < size.height + frame_width; ++row) {
    for (int64_t column = -frame_width; column < size.width + frame_width; ++column) {
      const bool inside = row >= 0 && row < size.height && column >= 0 && column < size.width;
      if (!inside) {
        std::copy(colour.begin(), colour.end(), canvas.pixel(top + row, left + column));
      }
    }
  }
}

/// Below the frame of a place of this size.
void draw_label(std::string text, const Drawn& size, int64_t top, int64_t left, Canvas& canvas) {
  constexpr Colour colour = {230, 230, 230};
  while (letters_in(text) * letter_step > size.width + 1) {  // the last needs no pixel beside it
    text.pop_back();
  }
  draw_text(canvas, left, top + size.height + frame_width + label_gap, text, 1, colour);
}

bool has_labels(const std::vector<std::vector<FramedImage>>& rows) {
  return std::any_of(rows.begin(), rows.end(), [](const std::vector<FramedImage>& row) {
    return std::any_of(row.begin(), row.end(),
                       [](const FramedImage& one) { return !one.label.empty(); });
  });
}

}  // namespace

Canvas image_sheet(const std::vector<std::vector<FramedImage>>& rows) {
  std::vector<std::vector<Picture>> pictures;
  for (const std::vector<FramedImage>& row : rows) {
    std::vector<Picture>& of_row = pictures.emplace_back();
    for (const FramedImage& one : row) {
      of_row.push_back(picture_of(one.image));
    }
  }
  const Grid grid(pictures, 3 * frame_width, has_labels(rows) ? letter_height + label_gap : 0);
  Canvas canvas(grid.tops.back(), grid.lefts.back(), background);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < rows[row].size(); ++column) {
      const Picture& picture = pictures[row][column];
      const Drawn size = drawn_size(picture.shape);
      draw(picture, Range{0, 255}, size, grid.tops[row], grid.lefts[column], canvas);
      draw_frame(rows[row][column].frame, size, grid.tops[row], grid.lefts[column], canvas);
      draw_label(rows[row][column].label, size, grid.tops[row], grid.lefts[column], canvas);
    }
  }
  return canvas;
}

Canvas preview_sheet(const ViewRecipe& recipe, DataCatalog& data, int64_t samples, uint64_t seed) {
  const std::shared_ptr<const DataView> source = data.open(recipe.data);
  const std::shared_ptr<const Augmentation> augmentation = make_augmentation(*recipe.choice);
  const int64_t count = std::min(samples, source->size());
  std::vector<std::vector<Picture>> rows;
  Range range;
  for (int64_t i = 0; i < count; ++i) {
    rows.push_back(pictures_of(recipe, *augmentation, *source, i * source->size() / count, seed));
    std::for_each(rows.back().begin() + 1, rows.back().end(),
                  [&](const Picture& view) { range.include(view); });
  }
  const Grid grid(rows, gap);
  Canvas canvas(grid.tops.back(), grid.lefts.back(), background);
  for (size_t row = 0; row < rows.size(); ++row) {
    for (size_t column = 0; column < rows[row].size(); ++column) {
      const Picture& picture = rows[row][column];
      draw(picture, column == 0 ? Range{0, 255} : range, drawn_size(picture.shape), grid.tops[row],
           grid.lefts[column], canvas);
    }
  }
  return canvas;
}

namespace {

/// Columns of a square grid.
int64_t columns_of(int64_t images) {
  auto columns = static_cast<int64_t>(std::sqrt(static_cast<double>(images)));
  while (columns * columns < images) {
    ++columns;
  }
  return std::max<int64_t>(1, columns);
}

}  // namespace

std::optional<int64_t> thumbnail_side(int64_t images) {
  constexpr int64_t largest_grid = 4096;
  constexpr int64_t largest = 64;
  constexpr int64_t least = 8;
  const int64_t side = std::min(largest, largest_grid / columns_of(images));
  return side < least ? std::nullopt : std::optional(side);
}

Canvas thumbnail_grid(const DataView& data, int64_t side) {
  std::vector<int64_t> all(static_cast<size_t>(data.size()));
  std::iota(all.begin(), all.end(), 0);
  return thumbnail_grid(data, all, side);
}

Canvas thumbnail_grid(const DataView& data, const std::vector<int64_t>& samples, int64_t side) {
  const int64_t columns = columns_of(static_cast<int64_t>(samples.size()));
  Canvas canvas(columns * side, columns * side, background);
  int64_t place = 0;
  for (const int64_t sample : samples) {
    draw(picture_of(data.get(sample).image), Range{0, 255}, {side, side}, place / columns * side,
         place % columns * side, canvas);
    ++place;
  }
  return canvas;
}

}  // namespace bissl::host
