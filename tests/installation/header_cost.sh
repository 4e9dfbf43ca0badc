#!/usr/bin/env bash
# What including a header of the sdk costs, as bytes after preprocessing: unlike seconds they do not
# depend on the machine's load. Compared with header_cost.txt, which holds for GCC 12 and LibTorch
# 1.13; more than 10 % above it fails. `--write` in the place of the comparison writes it anew.
#
#     header_cost.sh SOURCE COMPILER TORCH_VERSION TORCH_INCLUDES [--write]
set -euo pipefail
source_folder=$1
compiler=$2
torch_version=$3
IFS=';' read -r -a torch_includes <<<"$4"
table=$source_folder/tests/installation/header_cost.txt
case "$("$compiler" -dumpversion)-$torch_version" in
  12-1.13*) ;;
  *) echo "header_cost: skipped, the table holds for GCC 12 and LibTorch 1.13"; exit 77 ;;
esac

flags=(-std=c++20 -D_GLIBCXX_USE_CXX11_ABI=1 -I "$source_folder/sdk/include")
for folder in "${torch_includes[@]}"; do
  # The compiler's own folder given once more would come before the standard library's.
  [ "$folder" = /usr/include ] || flags+=(-isystem "$folder")
done
cost_of() { echo "#include \"bissl/$1\"" | "$compiler" "${flags[@]}" -x c++ -E -P - | wc -c; }

result=0
for header in "$source_folder"/sdk/include/bissl/*.h; do
  name=$(basename "$header")
  cost=$(cost_of "$name")
  if [ "${5:-}" = --write ]; then
    printf '%s %s\n' "$name" "$cost"
    continue
  fi
  allowed=$(awk -v name="$name" '$1 == name {print $2}' "$table")
  if [ -z "$allowed" ]; then
    echo "$name: not in header_cost.txt; write it anew with --write"
    result=1
  elif [ "$cost" -gt $((allowed * 11 / 10)) ]; then
    echo "$name: $cost bytes, more than 10 % above the $allowed of header_cost.txt"
    result=1
  fi
done
exit "$result"
