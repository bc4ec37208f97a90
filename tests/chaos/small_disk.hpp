#pragma once

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <system_error>

namespace roundhouse_tests {

/// A disk of 48 MB mounted at a folder, which can be filled. Without the right to mount, the folder
/// stays on its own disk and is never full.
class small_disk {
public:
    explicit small_disk(std::string folder) : folder_(std::move(folder)) {
        std::filesystem::create_directories(folder_);
        mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=48m,mode=0700") == 0;
    }
    ~small_disk() {
        if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    }
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;

    [[nodiscard]] bool mounted() const noexcept { return mounted_; }

    void fill() const {
        if (!mounted_) return;
        const int file = ::open(ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (file < 0) return; // No room even for a file: it is full already.
        static constexpr std::array<char, 4096> page{};
        while (::write(file, page.data(), page.size()) > 0) {
        }
        ::close(file);
    }
    void free() const {
        std::error_code ignored; // It was not full.
        std::filesystem::remove(ballast(), ignored);
    }

private:
    [[nodiscard]] std::string ballast() const { return folder_ + "/ballast"; }

    const std::string folder_;
    bool mounted_ = false;
};

} // namespace roundhouse_tests
