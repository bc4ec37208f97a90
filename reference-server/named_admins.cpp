#include "named_admins.hpp"

#include "option_table.hpp"
#include "secrets.hpp"

#include <roundhouse/core/names.hpp>
#include <roundhouse/http/credentials.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace roundhouse::server {

namespace {

std::string_view without_blanks(std::string_view text) {
    constexpr std::string_view blanks = " \t\r";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Removes what is before a separator from the front of a text, and returns it.
std::string_view take_part(std::string_view& text, char separator) {
    const auto end = text.find(separator);
    const auto part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

/// Adds the administrator of an entry. A failure's message is the cause.
result<void> add_entry(std::string_view entry, std::string_view unnamed,
                       std::vector<named_admin>& to) {
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos) return fail(errc::invalid_request, "is not name=key");
    const std::string name(without_blanks(entry.substr(0, equals)));
    const auto key = without_blanks(entry.substr(equals + 1));
    if (const auto fault = core::names::check_admin_name(name))
        return fail(errc::invalid_request, "its name " + *fault);
    if (key.size() < shortest_admin_key)
        return fail(errc::invalid_request,
                    "its key has fewer than " + std::to_string(shortest_admin_key) +
                        " characters, which could be guessed. " + std::string(admin_key_advice));
    if (const auto fault = fault_of_admin_key(key))
        return fail(errc::invalid_request, "its key " + *fault);
    const auto is_same = [&](const named_admin& other) {
        return other.name == name || std::string_view(other.key) == key;
    };
    if (key == unnamed || std::ranges::any_of(to, is_same))
        return fail(errc::invalid_request,
                    "its name or its key is given twice: give each administrator a key of their "
                    "own");
    to.push_back({name, crypto::secret_text(key)});
    return {};
}

/// The administrators in a text, whose faults are told by line or by entry.
result<std::vector<named_admin>> parse(std::string_view text, std::string_view unnamed,
                                       bool by_line) {
    std::vector<named_admin> found;
    std::size_t line_number = 0;
    std::size_t entry_number = 0;
    while (!text.empty()) {
        auto line = take_part(text, '\n');
        ++line_number;
        while (!line.empty()) {
            const auto entry = without_blanks(take_part(line, ','));
            ++entry_number;
            if (entry.empty()) continue;
            if (auto added = add_entry(entry, unnamed, found); !added)
                return fail(errc::invalid_request,
                            (by_line ? "line " + std::to_string(line_number)
                                     : "entry " + std::to_string(entry_number)) +
                                ": " + added.error().message);
        }
    }
    if (found.empty()) return fail(errc::invalid_request, "names no administrator");
    return found;
}

} // namespace

std::optional<std::string> fault_of_admin_key(std::string_view key) {
    const std::string advice(admin_key_advice);
    if (http::looks_like_platform_key(key))
        return "has the form of a platform key, so that calls could not tell them apart. " + advice;
    // A header cannot carry other characters, and spaces at its ends are cut off on the way.
    const auto visible = [](char c) { return c > 0x20 && c < 0x7F; };
    if (!std::ranges::all_of(key, visible))
        return "may hold only visible ASCII characters, since a header carries it. " + advice;
    return std::nullopt;
}

result<std::vector<named_admin>> parse_named_admins(std::string_view text,
                                                    std::string_view unnamed) {
    return parse(text, unnamed, text.find('\n') != std::string_view::npos);
}

result<std::vector<named_admin>> read_named_admins(const std::string& path,
                                                   std::string_view unnamed) {
    auto text = read_secret_file(path);
    if (!text) return unexpected(std::move(text.error()));
    auto found = parse(*text, unnamed, true);
    OPENSSL_cleanse(text->data(), text->size());
    return found;
}

} // namespace roundhouse::server
