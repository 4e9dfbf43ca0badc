#!/usr/bin/env bash
# Where the loader looks for the libraries of each program and library below the folders: every element
# of a RUNPATH (or RPATH) is an absolute path or starts at $ORIGIN. The loader takes an empty element,
# such as a trailing colon, and a relative one from the current folder, where anybody may have put a
# library.
#
#     runpath.sh FOLDER...
set -euo pipefail
binaries=0
bad=0
while IFS= read -r -d '' file; do
  [ "$(head -c 4 "$file" | tr -d '\0')" = $'\x7fELF' ] || continue
  binaries=$((binaries + 1))
  while IFS= read -r path; do
    if ! [[ $path =~ ^((/|\$ORIGIN)[^:]*)(:(/|\$ORIGIN)[^:]*)*$ ]]; then
      printf 'runpath: %s has [%s]\n' "$file" "$path" >&2
      bad=$((bad + 1))
    fi
  done < <(readelf -d "$file" 2>/dev/null | sed -n 's/.*(R\(UN\)\?PATH).*\[\(.*\)\]$/\2/p')
done < <(find "$@" -name CMakeFiles -prune -o -type f -size +1k -print0)
printf 'runpath: %s binaries, %s with a bad path\n' "$binaries" "$bad"
[ "$bad" -eq 0 ] && [ "$binaries" -gt 0 ]
