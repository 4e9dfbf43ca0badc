#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bissl::host {

/// A text for the content of SVG. Control characters, which XML forbids, become spaces.
std::string svg_text(const std::string& text);

/// A text as a cell of a CSV file, in quotation marks.
std::string csv_cell(const std::string& text);

/// Features of one network in a plane.
struct PicturePanel {
  std::string title;
  at::Tensor points;  ///< (N, 2), double
};

/// The same samples as several networks place them, side by side in one frame with one legend.
struct FeaturePicture {
  std::string title;
  std::vector<PicturePanel> panels;
  std::vector<std::string> names;   ///< of the N samples
  std::vector<int64_t> classes;     ///< of the N samples; empty for none
  std::vector<std::string> legend;  ///< of the classes

  /// A file of its own, in light and dark; each point says on hover what it is.
  std::string svg() const;
  /// The same without names as a PNG file, light, at twice the size.
  std::string png() const;
  /// "network,sample,class,x,y", a line a point.
  std::string csv() const;
};

}  // namespace bissl::host
