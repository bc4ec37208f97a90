#pragma once

#include <simdjson.h>

#include <array>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace demo_engine {

/// A fault of a request.
struct bad_request : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Parses a request's body, which must be an object. Throws bad_request.
inline simdjson::dom::object parse_object(simdjson::dom::parser& parser, const std::string& body) {
    simdjson::dom::object object;
    if (parser.parse(body).get(object) != simdjson::SUCCESS) {
        throw bad_request{"the body must be a JSON object"};
    }
    return object;
}

/// Reads a member of an object; nothing if it is missing. Throws bad_request if it is not of the
/// type, whose name for messages is `type`.
template <class T>
std::optional<T> member(const simdjson::dom::object& object, const char* name, const char* type) {
    simdjson::dom::element element;
    if (object[name].get(element) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    T value{};
    if (element.get(value) != simdjson::SUCCESS) {
        throw bad_request{std::string{name} + ": must be " + type};
    }
    return value;
}

/// Returns a text as a JSON string.
inline std::string json_string(std::string_view text) {
    std::string out{"\""};
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
            out += escape.data();
        } else {
            if (c == '"' || c == '\\') {
                out += '\\';
            }
            out += c;
        }
    }
    return out += '"';
}

} // namespace demo_engine
