#include "distributed/process_group.h"

namespace bissl::host {
namespace {

ProcessGroup* group_in_use = nullptr;

}  // namespace

ProcessGroup* current_group() { return group_in_use; }

GroupInUse::GroupInUse(ProcessGroup& group) { group_in_use = &group; }
GroupInUse::~GroupInUse() { group_in_use = nullptr; }

}  // namespace bissl::host
