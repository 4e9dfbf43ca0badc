#pragma once

#include "report/results.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bissl::host {

/// Reads the results of run folders, or of sweep folders: one, or several of one ablation, whose
/// cells are put together (gather_sweeps). A sweep's axes are those of its plan and its
/// repetitions the seeds (or the fine-tuning repeats, where there is one seed); of runs, the cells
/// are their fine-tuning stages and the repetitions their repeats. `metric`, if not empty, is the
/// one to compare by: "STAGE.DATA.METRIC" for a sweep, "DATA.METRIC" for runs. Throws Error(input)
/// for a folder that is neither, or for runs without results. A sweep may have none yet: all of its
/// cells are missing then.
ReportData gather(const std::vector<std::filesystem::path>& folders, const std::string& metric);

}  // namespace bissl::host
