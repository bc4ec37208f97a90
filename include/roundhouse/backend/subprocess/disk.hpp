#pragma once

#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/version.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include <charconv>
#include <string>
#include <system_error>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// The number of a block device as the kernel writes it, such as 8:0.
[[nodiscard]] inline std::string device_text(dev_t device) {
    return std::to_string(major(device)) + ':' + std::to_string(minor(device));
}

/// The disk that a block device is, or is a partition of: control groups bound whole disks only. 0 if
/// there is no such device. `devices` is where the kernel lists them by their numbers.
[[nodiscard]] inline dev_t whole_disk(dev_t device, const std::string& devices = "/sys/dev/block") {
    const auto entry = devices + '/' + device_text(device);
    if (!exists(entry)) return 0;
    if (!exists(entry + "/partition")) return device;
    std::string text;
    read_all(AT_FDCWD, entry + "/../dev", text); // the entry is a link into the disk's folder
    unsigned high = 0;
    unsigned low = 0;
    const char* const end = text.data() + text.size();
    const auto [colon, problem] = std::from_chars(text.data(), end, high);
    if (problem != std::errc{} || colon == end || *colon != ':' ||
        std::from_chars(colon + 1, end, low).ec != std::errc{})
        return 0;
    return makedev(high, low);
}

/// The disk that holds a folder. 0 if its file system is on no disk that it could be told by: overlayfs,
/// tmpfs, btrfs and those of networks have device numbers of their own making.
[[nodiscard]] inline dev_t disk_of(const std::string& folder) {
    struct stat status {};
    return ::stat(folder.c_str(), &status) == 0 ? whole_disk(status.st_dev) : 0;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
