#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// An engine's output. The engine appends to `engine.log` itself, for it must be able to outlive
/// the orchestrator; so the file is kept within its bound by copying it to `engine.log.1` and
/// cutting it to nothing. What is written between the last look at its end and the cut is lost:
/// some microseconds' worth, once per log's length.
namespace detail::subprocess {

inline constexpr const char* log_name = "engine.log";
inline constexpr const char* old_log_name = "engine.log.1";

/// Copies a file from an offset to its end, wherever that is by then, or until `most` bytes.
/// Returns false and errno.
[[nodiscard]] inline bool copy_rest(int from, std::uint64_t offset, int to, std::uint64_t most) {
    std::array<char, 65536> chunk;
    for (const auto stop = offset + most; offset < stop;) {
        const auto size = ::pread(from, chunk.data(), chunk.size(), static_cast<off_t>(offset));
        if (size < 0) return false;
        if (size == 0) return true;
        for (std::size_t done = 0; done < static_cast<std::size_t>(size);) {
            const auto written = ::write(to, chunk.data() + done,
                                         static_cast<std::size_t>(size) - done);
            if (written < 0) return false;
            done += static_cast<std::size_t>(written);
        }
        offset += static_cast<std::uint64_t>(size);
    }
    return true;
}

/// Begins the log in `folder` again if it has outgrown `limit`. Its last `limit` bytes are kept as
/// the older log, and what is written during the copy, up to as much again. Returns whether it did;
/// a log that cannot be read or kept is left as it is for the next time.
inline bool bound_log(const std::string& folder, std::uint64_t limit) {
    const auto path = folder + '/' + log_name;
    struct stat status {};
    const auto outgrown = [&] { return static_cast<std::uint64_t>(status.st_size) > limit; };
    if (::lstat(path.c_str(), &status) != 0 || !outgrown()) return false;
    const auto log = open_regular(path, O_RDWR);
    if (!log || ::fstat(log.get(), &status) != 0 || !outgrown()) return false;
    const auto old_path = folder + '/' + old_log_name;
    ::unlink(old_path.c_str()); // not cut: somebody may be reading it
    const auto old_log = open_regular(old_path, O_WRONLY | O_CREAT | O_TRUNC);
    if (!old_log) return false;
    const auto from = static_cast<std::uint64_t>(status.st_size) - limit;
    const bool kept = copy_rest(log.get(), from, old_log.get(), 2 * limit);
    // Without room for a copy the bound comes before the lines.
    if (!kept && errno != ENOSPC && errno != EDQUOT) return false;
    return ::ftruncate(log.get(), 0) == 0;
}

/// Takes whole lines from the end of a file, the newest first, until it has `lines` of them or
/// `most` bytes.
class tail_reader {
public:
    tail_reader(std::size_t lines, std::size_t most) : lines_{lines}, most_{most} {}

    /// Puts the end of a file before what it has. A file that is not there adds nothing.
    [[nodiscard]] result<void> add(const std::string& path) {
        if (full_ || lines_ == 0) return {};
        const auto file = open_regular(path, O_RDONLY);
        if (!file && errno == ENOENT) return {};
        struct stat status {};
        if (!file || ::fstat(file.get(), &status) != 0) return failed(path, errno);
        std::array<char, 65536> chunk;
        for (auto left = static_cast<std::size_t>(status.st_size); left > 0 && !full_;) {
            const auto size = std::min(left, chunk.size());
            left -= size;
            const auto got = ::pread(file.get(), chunk.data(), size, static_cast<off_t>(left));
            if (got < 0) return failed(path, errno);
            prepend({chunk.data(),
                     static_cast<std::size_t>(got)}); // less than asked for if it was cut meanwhile
        }
        return {};
    }

    [[nodiscard]] std::string take() && { return std::move(text_); }

private:
    void prepend(std::string_view chunk) {
        std::size_t from = chunk.size();
        while (from > 0) {
            const bool line_end = chunk[from - 1] == '\n';
            const bool newest = from == chunk.size() && text_.empty();
            if (line_end && !newest && ++complete_ == lines_) break;
            if (text_.size() + (chunk.size() - from) == most_) break;
            --from;
        }
        full_ = from > 0;
        text_.insert(0, chunk.substr(from));
    }

    std::size_t lines_;
    std::size_t most_;
    std::size_t complete_ = 0; ///< Line ends seen before the last line: that many lines are whole.
    std::string text_;
    bool full_ = false;
};

/// The last lines of an engine's output, bounded in lines and bytes.
[[nodiscard]] inline result<std::string> read_log_tail(const std::string& folder, std::size_t lines,
                                                       std::size_t most) {
    tail_reader tail{lines, most};
    for (const char* name : {log_name, old_log_name}) {
        if (auto added = tail.add(folder + '/' + name); !added) return unexpected{added.error()};
    }
    return std::move(tail).take();
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
