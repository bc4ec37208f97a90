#!/usr/bin/env bash
# Formats the project's C++ files with clang-format 16. With --check it changes no file, and fails
# if a file is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."

clang_format=${CLANG_FORMAT:-clang-format-16}
if ! command -v "$clang_format" >/dev/null; then
    echo "format: $clang_format is missing (scripts/setup.sh --ci installs it; CLANG_FORMAT names another)" >&2
    exit 1
fi

mapfile -d '' files < <(
    find include reference-server examples tests bench -type f \( -name '*.[hi]pp' -o -name '*.cpp' \) -print0 | sort -z
)
case "${1:-}" in
    "") "$clang_format" -i "${files[@]}" ;;
    --check)
        # Prints one line per file; to see the difference, run this script. The files are compared
        # here because --dry-run reports a change when the comment at the end of a namespace is
        # replaced by itself.
        wrong=()
        for file in "${files[@]}"; do
            "$clang_format" "$file" | cmp -s - "$file" || wrong+=("$file")
        done
        if [ ${#wrong[@]} -gt 0 ]; then
            printf '%s: is not formatted; run scripts/format.sh\n' "${wrong[@]}"
            exit 1
        fi
        ;;
    *)
        echo "usage: scripts/format.sh [--check]" >&2
        exit 2
        ;;
esac
