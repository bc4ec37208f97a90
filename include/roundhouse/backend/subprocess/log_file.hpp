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
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The output of an engine, in its workload folder, with a line before each boot (`boot_mark.hpp`).
/// The engine appends to `engine.log` itself, by a descriptor, because it must be able to outlive the
/// orchestrator. So the file is kept within its bound by copying its end to `engine.log.1` and
/// truncating it. Output that arrives between the last read and the truncation is lost: a few
/// microseconds' worth, once per rotation.
namespace detail::subprocess {

inline constexpr const char* log_name = "engine.log";
inline constexpr const char* old_log_name = "engine.log.1";

/// A rotation of an engine's log.
struct log_rotation {
    std::uint64_t size = 0;      ///< The size of the log when the rotation began.
    std::uint64_t kept_from = 0; ///< The offset of the first byte that was copied.
    std::uint64_t kept_to = 0;   ///< The offset after the last one.
    bool kept = true;            ///< False if there was no room for a whole copy.
};

/// A place in an engine's output, which goes on from the older log to the newer. By default it is
/// the beginning.
struct log_position {
    std::uint64_t log = 0;
    std::optional<std::uint64_t> old_log = 0; ///< Empty if the place is behind the older log.
    /// The inode of the newer log, if known. Another file in its place is read from its beginning.
    std::optional<ino_t> inode = {};

    /// The same place after a rotation.
    [[nodiscard]] log_position after(const log_rotation& rotation) const {
        if (!rotation.kept) return {.log = 0, .old_log = std::nullopt, .inode = inode};
        return {.log = 0,
                .old_log = log > rotation.kept_from ? log - rotation.kept_from : 0,
                .inode = inode};
    }
};

/// Copies a file from an offset to its end, or at most `most` bytes, and moves the offset along. On
/// failure returns false, with the cause in errno.
[[nodiscard]] inline bool copy_rest(int from, std::uint64_t& offset, int to, std::uint64_t most) {
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

/// Rotates the log in `folder` if it is larger than `limit`. The older log has the last `limit`
/// bytes then, and up to as many again that were written during the copy. A log that cannot be read
/// or copied is left alone until the next call.
inline std::optional<log_rotation> bound_log(const std::string& folder, std::uint64_t limit) {
    const auto path = folder + '/' + log_name;
    struct stat status {};
    const auto size = [&] { return static_cast<std::uint64_t>(status.st_size); };
    if (::lstat(path.c_str(), &status) != 0 || size() <= limit) return std::nullopt;
    const auto log = open_regular(path, O_RDWR);
    if (!log || ::fstat(log.get(), &status) != 0 || size() <= limit) return std::nullopt;
    const auto old_path = folder + '/' + old_log_name;
    const auto old_log = open_anew(old_path.c_str());
    if (!old_log) return std::nullopt;
    log_rotation rotation{.size = size(), .kept_from = size() - limit, .kept_to = size() - limit};
    rotation.kept = copy_rest(log.get(), rotation.kept_to, old_log.get(), 2 * limit);
    // On a full disk the bound is more important than the output.
    if (!rotation.kept && errno != ENOSPC && errno != EDQUOT) return std::nullopt;
    if (::ftruncate(log.get(), 0) != 0) return std::nullopt;
    return rotation;
}

/// Reads whole lines from the end of files, the newest file first, until it has `lines` lines or
/// `most` bytes.
class tail_reader {
public:
    tail_reader(std::size_t lines, std::size_t most) : lines_{lines}, most_{most} {}

    /// Puts the end of a file, from the offset `begin` on, before the text so far. A file that is
    /// shorter than that has been truncated, and is read whole. A missing file adds nothing.
    [[nodiscard]] result<void> add(const std::string& path, std::uint64_t begin = 0) {
        begins_at_ = 0;
        const auto file = open_regular(path, O_RDONLY);
        if (!file && errno == ENOENT) return {};
        if (!file) return not_opened(path, errno);
        struct stat status {};
        if (::fstat(file.get(), &status) != 0) return failed(path, errno);
        std::array<char, 65536> chunk;
        auto left = static_cast<std::uint64_t>(status.st_size);
        if (left < begin) begin = 0;
        begins_at_ = left;
        while (left > begin && !full_ && lines_ > 0) {
            const auto size = std::min<std::uint64_t>(left - begin, chunk.size());
            left -= size;
            const auto got = ::pread(file.get(), chunk.data(), size, static_cast<off_t>(left));
            if (got < 0) return failed(path, errno);
            // Fewer bytes than asked for if the file has been truncated meanwhile.
            begins_at_ = left + prepend({chunk.data(), static_cast<std::size_t>(got)});
        }
        return {};
    }

    [[nodiscard]] std::string take() && { return std::move(text_); }
    /// Whether nothing before the text is wanted.
    [[nodiscard]] bool full() const noexcept { return full_ || lines_ == 0; }
    /// The offset, in the file that was added last, of what was added of it.
    [[nodiscard]] std::uint64_t begins_at() const noexcept { return begins_at_; }

private:
    /// Returns the offset of the first byte of the chunk that is wanted.
    std::size_t prepend(std::string_view chunk) {
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
        return from;
    }

    std::size_t lines_;
    std::size_t most_;
    std::size_t complete_ = 0; ///< The number of line ends found before the last line.
    std::string text_;
    std::uint64_t begins_at_ = 0;
    bool full_ = false;
};

/// Reads the last lines of an engine's output from `start` on, and moves `start` to where they begin.
[[nodiscard]] inline result<std::string> read_tail(tail_reader tail, const std::string& folder,
                                                   log_position& start) {
    if (auto added = tail.add(folder + '/' + log_name, start.log); !added)
        return unexpected{added.error()};
    start.log = tail.begins_at();
    if (start.old_log && tail.full()) start.old_log.reset();
    if (start.old_log) {
        if (auto added = tail.add(folder + '/' + old_log_name, *start.old_log); !added)
            return unexpected{added.error()};
        start.old_log = tail.begins_at();
    }
    return std::move(tail).take();
}

/// The last lines of an engine's output since `start`: at most `lines` lines and `most` bytes.
[[nodiscard]] inline result<std::string> read_log_tail(const std::string& folder, std::size_t lines,
                                                       std::size_t most, log_position start = {}) {
    if (lines == 0) return std::string();
    return read_tail(tail_reader{lines, most}, folder, start);
}

/// The inode of an engine's newer log; nothing if there is none.
[[nodiscard]] inline std::optional<ino_t> log_inode(const std::string& folder) {
    struct stat status {};
    if (::lstat((folder + '/' + log_name).c_str(), &status) != 0) return std::nullopt;
    return status.st_ino;
}

/// How many bytes of an engine's output there are from `position` on.
[[nodiscard]] inline std::uint64_t bytes_from(const std::string& folder,
                                              const log_position& position) {
    const auto rest = [&](const char* name, std::uint64_t offset) -> std::uint64_t {
        struct stat status {};
        if (::lstat((folder + '/' + name).c_str(), &status) != 0) return 0;
        const auto size = static_cast<std::uint64_t>(status.st_size);
        return size < offset ? size : size - offset; // shorter: it was truncated
    };
    return rest(log_name, position.log) +
           (position.old_log ? rest(old_log_name, *position.old_log) : 0);
}

/// Reads the piece of an engine's output at `position`, at most `most` bytes, and moves the position
/// behind it. An empty text means that there is nothing more at present.
[[nodiscard]] inline result<std::string> read_piece(const std::string& folder,
                                                    log_position& position, std::size_t most) {
    const auto read = [&](const char* name, std::uint64_t& offset,
                          std::optional<ino_t>& inode) -> result<std::string> {
        const auto path = folder + '/' + name;
        const auto file = open_regular(path, O_RDONLY);
        if (!file && errno == ENOENT) return offset = 0, std::string();
        if (!file) return not_opened(path, errno);
        struct stat status {};
        if (::fstat(file.get(), &status) != 0) return failed(path, errno);
        if (inode && *inode != status.st_ino) offset = 0;
        inode = status.st_ino;
        if (static_cast<std::uint64_t>(status.st_size) < offset) offset = 0; // it was truncated
        std::string piece(most, '\0');
        const auto got = ::pread(file.get(), piece.data(), most, static_cast<off_t>(offset));
        if (got < 0) return failed(path, errno);
        piece.resize(static_cast<std::size_t>(got));
        offset += piece.size();
        return piece;
    };
    if (position.old_log) {
        std::optional<ino_t> any; // each rotation makes another file
        auto piece = read(old_log_name, *position.old_log, any);
        if (!piece || !piece->empty()) return piece;
        position.old_log.reset();
    }
    return read(log_name, position.log, position.inode);
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
