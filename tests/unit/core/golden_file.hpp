#pragma once

#include "catch.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

/// Files that hold what a test is expected to print. ROUNDHOUSE_REFRESH_TABLE=1 rewrites them:
/// review the difference before you commit it.
namespace golden {

inline std::string content_of(const std::filesystem::path& file) {
    std::ifstream stream(file);
    std::stringstream content;
    content << stream.rdbuf();
    return content.str();
}

/// Checks that the file holds `actual`. A failure shows the first line that differs.
inline void check(const std::filesystem::path& file, const std::string& actual) {
    if (std::getenv("ROUNDHOUSE_REFRESH_TABLE") != nullptr) std::ofstream(file) << actual;
    const auto expected = content_of(file);
    if (expected == actual) return;
    std::istringstream expected_lines(expected);
    std::istringstream actual_lines(actual);
    std::string expected_line;
    std::string actual_line;
    std::string section; // the last line that is not indented
    int number = 0;
    do {
        ++number;
        if (!actual_line.empty() && actual_line.front() != ' ') section = actual_line;
        expected_line.clear();
        actual_line.clear();
        std::getline(expected_lines, expected_line);
        std::getline(actual_lines, actual_line);
    } while (expected_line == actual_line && (expected_lines || actual_lines));
    INFO(file.filename().string() << ":" << number << ", after: " << section);
    CHECK(actual_line == expected_line);
    FAIL_CHECK("ROUNDHOUSE_REFRESH_TABLE=1 rewrites the file");
}

} // namespace golden
