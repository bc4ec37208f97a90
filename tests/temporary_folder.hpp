#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace roundhouse_tests {

/// A temporary folder, removed with its object.
class temporary_folder {
public:
    temporary_folder() : path_{std::filesystem::temp_directory_path() / "roundhouse-test-XXXXXX"} {
        auto name = path_.string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"mkdtemp: " + name};
        path_ = name;
    }
    temporary_folder(const temporary_folder&) = delete;
    temporary_folder& operator=(const temporary_folder&) = delete;
    ~temporary_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

} // namespace roundhouse_tests
