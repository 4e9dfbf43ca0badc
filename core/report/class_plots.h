#pragma once

#include "report/report.h"

#include <filesystem>
#include <optional>
#include <string>

namespace bissl::host {

/// How the neighbours, probes and heads of a stage of kind "analyse" classify images: which classes
/// they take for which, the accuracy of each class, and how far their confidences are shares of
/// right answers. By the files accuracy-…, confusion-… and reliability-… in the stage's folder;
/// none where there are no such files. `arm` is the name of what the stage looks at.
///
/// A plot has at most 32 classes, a table 30, and at most 8 plots of confused classes are in the
/// section; notes say what is left out, and where a file that should be there is not as the stage
/// writes it.
std::optional<ReportSection> class_section(const std::string& stage, const std::string& arm,
                                           const std::filesystem::path& folder);

}  // namespace bissl::host
