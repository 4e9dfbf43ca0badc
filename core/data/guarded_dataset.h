#pragma once

#include "bissl/dataset.h"
#include "data/content_hashes.h"
#include "plugins/component.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bissl::host {

/// An instance of a dataset whose methods, when they throw, name component, library, TOML position
/// and method in the error. The component is asked for its fingerprint once, or, where it has the
/// ability FileSequence or DataFiles, for its files, which `hashes` hashes. The host only ever
/// holds these.
std::shared_ptr<const Dataset> create_guarded_dataset(const ComponentChoice& choice,
                                                      std::shared_ptr<ContentHashes> hashes);

/// What a dataset that create_guarded_dataset made has to say of its data (DataNotes).
std::vector<std::string> notes_of(const Dataset& guarded);

/// What it calls a sample (SampleNames), if it has names for them.
std::optional<std::string> sample_name_of(const Dataset& guarded, int64_t index);

/// Where the files of these samples are: those of a dataset whose files (FileSequence, DataFiles)
/// have the names of its samples (SampleNames). Empty where a sample has no such file.
std::vector<std::string> sample_files_of(const Dataset& guarded,
                                         const std::vector<int64_t>& samples);

}  // namespace bissl::host
