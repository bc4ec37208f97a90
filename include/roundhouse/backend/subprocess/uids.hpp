#pragma once

#include <roundhouse/backend/subprocess/child.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/error.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The users that engines run as: whether they can be used, and which are free.
namespace detail::subprocess {

/// The number in a field of a line, which colons separate. Empty if there is none.
[[nodiscard]] inline std::optional<std::uint64_t> number_in(std::string_view line,
                                                            std::size_t field) {
    for (; field > 0; --field) {
        const auto end = line.find(':');
        if (end == std::string_view::npos) return std::nullopt;
        line.remove_prefix(end + 1);
    }
    line = line.substr(0, line.find(':'));
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (problem != std::errc{} || end != line.data() + line.size()) return std::nullopt;
    return number;
}

/// Whether a file of accounts (passwd(5), group(5)) has a number of the range. The accounts of other
/// sources, such as LDAP, are not looked at.
[[nodiscard]] inline bool has_account_in(const std::string& file, const uid_range& range) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
        const auto number = number_in(line, 2);
        if (number && *number <= range.high && range.contains(static_cast<std::uint32_t>(*number)))
            return true;
    }
    return false;
}

/// Whether a file of subordinate ids (subuid(5), subgid(5)) has one of the range.
[[nodiscard]] inline bool has_subordinate_in(const std::string& file, const uid_range& range) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
        const auto first = number_in(line, 1);
        const auto count = number_in(line, 2);
        if (first && count && *count > 0 && *first <= range.high && *first + *count > range.low)
            return true;
    }
    return false;
}

/// Whether this process's user namespace has all numbers of a range: `file` is a map of it
/// (user_namespaces(7)).
[[nodiscard]] inline bool is_mapped(const std::string& file, const uid_range& range) {
    std::ifstream map(file);
    std::uint64_t inside = 0;
    std::uint64_t outside = 0;
    std::uint64_t count = 0;
    while (map >> inside >> outside >> count)
        if (inside <= range.low && range.high < inside + count) return true;
    return false;
}

/// Why engines cannot have the users of a range; empty if they can.
[[nodiscard]] inline std::string_view why_unusable(const uid_range& range) {
    if (!may_use_other_users())
        return "this process is not root, or lacks one of the capabilities CHOWN, DAC_OVERRIDE, "
               "FOWNER, KILL, SETGID and SETUID";
    for (const auto* const map : {"/proc/self/uid_map", "/proc/self/gid_map"})
        if (!is_mapped(map, range)) return "the user namespace of this process does not have them";
    for (const auto* const file : {"/etc/passwd", "/etc/group"})
        if (has_account_in(file, range)) return "an account of this machine has one of them";
    for (const auto* const file : {"/etc/subuid", "/etc/subgid"})
        if (has_subordinate_in(file, range))
            return "they overlap with the subordinate ids of an account (subuid(5))";
    return {};
}

/// The user of a range that no engine gets: processes that end an engine's processes are this one's
/// (`kill_all_of`).
[[nodiscard]] constexpr uid_t killer_of(const uid_range& range) noexcept {
    return range.empty() ? default_engine_uids.high : range.high;
}

/// A path, and what is to be done with it: R_OK, X_OK, or both.
struct needed_path {
    std::string path;
    int access = 0;
};

/// Why a user cannot use one of these paths; empty if it can use all. Blocks for a child.
[[nodiscard]] inline std::string why_refused(uid_t uid, const std::vector<needed_path>& paths) {
    constexpr int cannot_change = 255;
    const auto try_all = [&]() noexcept {
        if (!become(uid)) return cannot_change;
        int at = 0;
        while (at < static_cast<int>(paths.size()) && at < cannot_change - 1 &&
               ::access(paths[static_cast<std::size_t>(at)].path.c_str(),
                        paths[static_cast<std::size_t>(at)].access) == 0)
            ++at;
        return at;
    };
    const auto at = run_in_child(try_all);
    if (at < 0 || at == cannot_change) return "this process cannot start one of another user";
    const auto index = static_cast<std::size_t>(at);
    return index < paths.size() ? paths[index].path + " is closed to other users" : std::string();
}

/// The users that engines have. Used on the supervisor's strand only.
class uid_pool {
public:
    explicit uid_pool(const uid_range& range)
        : range_{range}, next_{range.empty() ? 0 : first_of(range)} {}

    /// Marks a user as an engine's.
    void mark(uid_t uid) { used_.insert(uid); }

    /// A user that no engine has. After the one that was taken last: what a user may have left
    /// behind is not found by the next engine.
    [[nodiscard]] result<uid_t> take() {
        for (std::uint64_t tried = 0; tried <= range_.high - range_.low; ++tried) {
            const auto uid = std::exchange(next_, next_ == range_.high ? range_.low : next_ + 1);
            if (uid != killer_of(range_) && used_.insert(uid).second) return uid;
        }
        return fail(errc::backend_error,
                    "each user of " + std::to_string(range_.low) + '-' +
                        std::to_string(range_.high) +
                        " but the last has an engine: widen ORCH_ENGINE_UIDS, or "
                        "subprocess_options::uids");
    }

    /// Makes a user free, all of whose processes have ended.
    void give_back(uid_t uid) { used_.erase(uid); }

private:
    [[nodiscard]] static uid_t first_of(const uid_range& range) {
        std::random_device entropy;
        return std::uniform_int_distribution<uid_t>{range.low, range.high}(entropy);
    }

    uid_range range_;
    uid_t next_;
    std::unordered_set<uid_t> used_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
