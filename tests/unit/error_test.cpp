#include "catch.hpp"

#include <roundhouse/error.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace roundhouse;

namespace {

/// The HTTP status of a code, and whether its call may be repeated.
using contract = std::pair<int, retry_rule>;

retry_rule retry_of(std::string_view words) {
    if (words.starts_with("once")) return retry_rule::once;
    if (words.starts_with("after it")) return retry_rule::after_wait;
    if (words.starts_with("with growing waits")) return retry_rule::with_growing_waits;
    CHECK(words.starts_with("no"));
    return retry_rule::no;
}

/// The columns of a row of a Markdown table, without the spaces around them.
std::vector<std::string> columns_of(std::string_view line) {
    std::vector<std::string> columns;
    while (line.starts_with('|')) {
        line.remove_prefix(1);
        const auto end = line.find('|');
        if (end == std::string_view::npos) break;
        auto text = line.substr(0, end);
        while (text.starts_with(' ')) text.remove_prefix(1);
        while (text.ends_with(' ')) text.remove_suffix(1);
        columns.emplace_back(text);
        line.remove_prefix(end);
    }
    return columns;
}

/// The codes in a column: the texts in backquotes that are in upper case.
std::vector<std::string> codes_in(std::string_view column) {
    std::vector<std::string> codes;
    for (auto begin = column.find('`'); begin != std::string_view::npos;) {
        const auto end = column.find('`', begin + 1);
        if (end == std::string_view::npos) break;
        const auto text = column.substr(begin + 1, end - begin - 1);
        if (text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string_view::npos)
            codes.emplace_back(text);
        begin = column.find('`', end + 1);
    }
    return codes;
}

/// The table of errors in docs/http-api.md: rows of status, codes and retry.
std::map<std::string, contract> documented_errors() {
    const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
    std::ifstream page(root / "docs" / "http-api.md");
    REQUIRE(page);
    std::map<std::string, contract> errors;
    for (std::string line; std::getline(page, line);) {
        const auto columns = columns_of(line);
        if (columns.size() != 3 || columns[0].size() != 3 ||
            columns[0].find_first_not_of("0123456789") != std::string::npos)
            continue;
        for (const auto& code : codes_in(columns[1]))
            errors[code] = {std::stoi(columns[0]), retry_of(columns[2])};
    }
    return errors;
}

} // namespace

TEST_CASE("the errors in the documentation are those of the table") {
    auto documented = documented_errors();
    // Answered by the HTTP API itself, without a failure of the orchestrator.
    for (const auto* const code : {"NOT_FOUND", "METHOD_NOT_ALLOWED", "PAYLOAD_TOO_LARGE"})
        CHECK(documented.erase(code) == 1);
    std::set<std::string> codes;
    for (const auto& row : error_table) {
        INFO(row.name);
        const std::string code(row.name);
        CHECK(documented[code] == contract(row.http_status, row.retry));
        codes.insert(code);
    }
    CHECK(documented.size() == codes.size());
}

TEST_CASE("each kind of failure has a row of its own") {
    for (const auto& row : error_table) {
        CHECK(&error_row_of(row.code) == &row);
        CHECK_FALSE(row.remedy.empty());
        CHECK(make_error_code(row.code).message() == row.name);
    }
}

TEST_CASE("a code that is not declared counts as an internal error") {
    for (const int value : {0, -1, static_cast<int>(error_table.size()) + 1})
        CHECK(error_row_of(static_cast<errc>(value)).code == errc::internal_error);
}
