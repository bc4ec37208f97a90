#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The line that marks a boot in an engine's log, for people. Nothing reads it: an engine can write
/// such a line too. Where the output of a boot begins is known from `output_starts`.
namespace detail::subprocess {

inline constexpr std::string_view boot_mark_begin = "--- roundhouse: boot ";

/// `--- roundhouse: boot 2 at 2026-11-28T01:02:03.456Z ---`, with the generation and the time.
[[nodiscard]] inline std::string boot_mark(std::uint64_t generation, instant time) {
    std::string out{boot_mark_begin};
    out.append(std::to_string(generation)).append(" at ");
    json::append_time(out, time);
    return out.append(" ---\n");
}

/// Appends the mark to the log in `folder`, which `log` appends to, on a line of its own. A log that
/// takes none, as on a full disk, goes without: the boot does not depend on it. Blocks for some
/// system calls.
inline void mark_boot(int log, const std::string& folder, const std::string& mark) {
    const auto written = open_regular(folder + '/' + log_name, O_RDONLY);
    struct stat status {};
    char last = '\n';
    if (written && ::fstat(written.get(), &status) == 0 && status.st_size > 0)
        static_cast<void>(::pread(written.get(), &last, 1, status.st_size - 1) == 1);
    const auto text = last == '\n' ? mark : '\n' + mark;
    static_cast<void>(::write(log, text.data(), text.size()) > 0);
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
