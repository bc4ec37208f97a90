#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/ignored_names.hpp>
#include <roundhouse/types.hpp>

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads the JSON of requests. A failure is an `invalid_request` that names the field and says what
/// is expected there.
///
/// Where JSON leaves room for interpretation: a field that is read and occurs twice is refused. A
/// whole number may be written with a fraction or an exponent (`1.0`, `1e3`) if its value is whole
/// and at most 2^53. Lone surrogates, a byte order mark, and anything after the document are
/// refused.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// The nesting depth to which a request's JSON is accepted, also in fields that are not read.
inline constexpr std::size_t max_json_depth = 32;

namespace detail {

/// The parser that a thread reuses for all documents. A document lives until the next is parsed.
struct thread_parser {
    simdjson::dom::parser parser;
    bool ready = false;

    static thread_parser& instance() {
        thread_local thread_parser parser;
        if (!parser.ready)
            parser.ready = parser.parser.allocate(1024, max_json_depth) == simdjson::SUCCESS;
        return parser;
    }
};

[[nodiscard]] inline std::string_view reason_of(simdjson::error_code code) noexcept {
    switch (code) {
    case simdjson::UTF8_ERROR: return "it is not valid UTF-8";
    case simdjson::DEPTH_ERROR: return "it nests too deeply";
    case simdjson::NUMBER_ERROR: return "a number in it is malformed or too large";
    case simdjson::STRING_ERROR:
    case simdjson::UNESCAPED_CHARS: return "a string in it is malformed";
    case simdjson::UNCLOSED_STRING: return "a string in it does not end";
    default: return "it is malformed";
    }
}

/// Parses a document that must be an object. White space alone counts as an object without members.
/// Messages begin with `what` it is.
[[nodiscard]] inline result<simdjson::dom::object> parse_object(std::string_view body,
                                                                std::string_view what) {
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) body = "{}";
    simdjson::dom::object object;
    auto& reused = thread_parser::instance();
    const auto parsed = reused.parser.parse(body.data(), body.size());
    if (!reused.ready || parsed.error() == simdjson::MEMALLOC)
        return fail(errc::internal_error, "no memory to parse JSON");
    if (parsed.error() != simdjson::SUCCESS)
        return fail(errc::invalid_request, std::string(what) + " is not valid JSON: " +
                                               std::string(reason_of(parsed.error())) +
                                               ". Send a JSON object.");
    if (parsed.get(object) != simdjson::SUCCESS)
        return fail(errc::invalid_request,
                    std::string(what) + " must be a JSON object, such as {}.");
    return object;
}

/// Returns the value of a JSON number if it is whole and not negative.
[[nodiscard]] inline std::optional<std::uint64_t>
whole_number(simdjson::dom::element value) noexcept {
    constexpr double exactly_representable = 9'007'199'254'740'992.0; // 2^53
    std::uint64_t whole = 0;
    if (value.get(whole) == simdjson::SUCCESS) return whole;
    double number = 0;
    if (!value.is_double() || value.get(number) != simdjson::SUCCESS) return std::nullopt;
    if (!(number >= 0) || number > exactly_representable || number != std::floor(number))
        return std::nullopt;
    return static_cast<std::uint64_t>(number);
}

/// Returns a JSON number as text, in the shortest form that is read back as the same.
[[nodiscard]] inline std::string number_text(simdjson::dom::element number) {
    std::array<char, 32> text{};
    const auto write = [&](auto value) {
        const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
        return std::string(text.data(), end);
    };
    std::int64_t negative = 0;
    std::uint64_t whole = 0;
    double any = 0;
    if (number.get(negative) == simdjson::SUCCESS) return write(negative);
    if (number.get(whole) == simdjson::SUCCESS) return write(whole);
    return number.get(any) == simdjson::SUCCESS ? write(any) : std::string();
}

} // namespace detail

/// Reads the fields of a JSON object. After a failure, further reads return nothing, so that the
/// caller reads all fields first and then checks `failure` once. Texts live until the calling
/// thread reads JSON again.
class field_reader {
public:
    /// Parses a request's body, or `what` else it is, which need not outlive the call.
    explicit field_reader(std::string_view body, std::string_view what = "The body") {
        auto parsed = detail::parse_object(body, what);
        if (parsed) fields_ = *parsed;
        else failure_ = std::move(parsed.error());
    }

    /// The first failure, if there was one.
    [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

    /// Adds the members that were not read to `ignored`, which may be null.
    void tell_unread(ignored_names* ignored) const {
        if (ignored == nullptr || failure_ || !fields_ || found_ == fields_->size()) return;
        for (const auto [name, value] : *fields_)
            if (!asked_.has(name))
                ignored->add(ignored_names::in_body, prefix_, name, asked_.all());
    }

    /// Ends the reading: adds what was not read to `ignored`, which may be null. Returns the first
    /// failure, if there was one.
    [[nodiscard]] const std::optional<error>& finish(ignored_names* ignored) const {
        tell_unread(ignored);
        return failure_;
    }

    /// Reads an optional string; nothing if the field is missing.
    [[nodiscard]] std::optional<std::string_view> text(std::string_view name) {
        std::string_view value;
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (found->get(value) == simdjson::SUCCESS) return value;
        refuse(name, "a string", *found);
        return std::nullopt;
    }

    /// Reads a required string; an empty text after a failure.
    [[nodiscard]] std::string_view required_text(std::string_view name) {
        const auto value = text(name);
        if (!value) refuse(name, "is missing. It must be a string.");
        return value.value_or(std::string_view());
    }

    /// Reads `true` or `false`.
    [[nodiscard]] std::optional<bool> boolean(std::string_view name) {
        bool value = false;
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (found->get(value) == simdjson::SUCCESS) return value;
        refuse(name, "true or false", *found);
        return std::nullopt;
    }

    /// Reads a number from `least` to `most`, whole or not.
    [[nodiscard]] std::optional<double> number(std::string_view name, double least, double most) {
        double value = 0;
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (found->is_number() && found->get(value) == simdjson::SUCCESS && value >= least &&
            value <= most)
            return value;
        refuse(name,
               "a number from " + std::to_string(static_cast<std::int64_t>(least)) + " to " +
                   std::to_string(static_cast<std::int64_t>(most)),
               *found);
        return std::nullopt;
    }

    /// Reads a number. Whether it is in a range, callers check.
    [[nodiscard]] std::optional<double> number(std::string_view name) {
        double value = 0;
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (found->is_number() && found->get(value) == simdjson::SUCCESS) return value;
        refuse(name, "a number", *found);
        return std::nullopt;
    }

    /// Reads a whole number that is not negative. Another value is refused, because it is not what is
    /// `expected`: "a whole number, 1 or more". Whether the number is in that range, callers check.
    [[nodiscard]] std::optional<std::uint64_t> whole(std::string_view name,
                                                     std::string_view expected) {
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (const auto value = detail::whole_number(*found)) return value;
        refuse(name, expected, *found);
        return std::nullopt;
    }

    /// Reads a list of strings.
    [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view name) {
        const auto found = find(name);
        if (!found) return std::nullopt;
        if (auto values = texts_of(*found)) return values;
        refuse(name, "a list of strings", *found);
        return std::nullopt;
    }

    /// Reads an object whose members are strings; empty if the field is missing. No value is part of a
    /// message: it may be a secret.
    [[nodiscard]] named_texts text_members(std::string_view name) {
        named_texts texts;
        simdjson::dom::object members;
        const auto found = find(name);
        if (!found) return texts;
        if (found->get(members) != simdjson::SUCCESS) {
            refuse(name, "must be an object of strings.");
            return texts;
        }
        for (const auto [key, value] : members) {
            std::string_view text;
            const auto path = std::string(name) + '.' + std::string(key);
            if (value.get(text) != simdjson::SUCCESS) refuse(path, "must be a string.");
            else if (!texts.emplace(key, text).second) refuse(path, "is given twice.");
        }
        return texts;
    }

    /// Reads an object whose members are strings, or null in place of any and of the whole. No value
    /// is part of a message.
    [[nodiscard]] texts_change text_changes(std::string_view name) {
        texts_change out;
        out.remove_all = null(name);
        if (out.remove_all) return out;
        simdjson::dom::object members;
        const auto found = find(name);
        if (!found) return out;
        if (found->get(members) != simdjson::SUCCESS) {
            refuse(name, "must be an object of strings and nulls, or null.");
            return out;
        }
        for (const auto [key, value] : members) {
            std::string_view text;
            std::optional<std::string> given;
            const auto path = std::string(name) + '.' + std::string(key);
            if (value.get(text) == simdjson::SUCCESS) given = text;
            else if (!value.is_null()) refuse(path, "must be a string, or null.");
            if (!out.texts.emplace(key, std::move(given)).second) refuse(path, "is given twice.");
        }
        return out;
    }

    /// Whether a field is null.
    [[nodiscard]] bool null(std::string_view name) {
        if (failure_ || !fields_) return false;
        const auto is_null = [name](const auto& field) {
            return field.key == name && field.value.is_null();
        };
        if (std::none_of(fields_->begin(), fields_->end(), is_null)) return false;
        return find(name).has_value(); // or it is given twice
    }

    /// Returns a reader of a nested object. Its messages name fields by their path, such as
    /// `policy.max_engines`.
    [[nodiscard]] std::optional<field_reader> object(std::string_view name) {
        const auto found = find(name);
        if (!found) return std::nullopt;
        simdjson::dom::object inner;
        if (found->get(inner) == simdjson::SUCCESS) return field_reader(inner, shown(name) + ".");
        refuse(name, "an object", *found);
        return std::nullopt;
    }

    /// Fails if the object has a member that is not in `known`.
    void only(const std::vector<std::string_view>& known) {
        if (failure_ || !fields_) return;
        for (const auto [name, value] : *fields_) {
            if (std::ranges::find(known, name) == known.end())
                return refuse(name, "is not known here. Check its spelling.");
        }
    }

    /// Fails because of a field, unless there was a failure before. `complaint` follows the name of
    /// the field in the message.
    void refuse(std::string_view name, std::string_view complaint) {
        if (!failure_)
            failure_ = error{errc::invalid_request, shown(name) + ": " + std::string(complaint)};
    }

    /// Takes over the failure of a reader of a nested object.
    void take_failure_of(const field_reader& inner) {
        if (!failure_) failure_ = inner.failure_;
    }

private:
    field_reader(simdjson::dom::object fields, std::string prefix)
        : fields_(fields), prefix_(std::move(prefix)) {}

    /// Fails because a field is not what is `expected` of it. The message has the value if that is a
    /// number; others may be long.
    void refuse(std::string_view name, std::string_view expected, simdjson::dom::element value) {
        std::string complaint = "must be ";
        complaint += expected;
        if (value.is_number()) complaint += ", and is " + detail::number_text(value);
        refuse(name, complaint + '.');
    }

    [[nodiscard]] std::optional<simdjson::dom::element> find(std::string_view name) {
        if (failure_ || !fields_) return std::nullopt;
        asked_.add(name);
        std::optional<simdjson::dom::element> found;
        for (const auto [key, value] : *fields_) {
            if (key != name) continue;
            if (found) {
                refuse(name, "is given twice.");
                return std::nullopt;
            }
            found = value;
        }
        found_ += found.has_value();
        return found;
    }

    static std::optional<std::vector<std::string>> texts_of(simdjson::dom::element element) {
        simdjson::dom::array list;
        if (element.get(list) != simdjson::SUCCESS) return std::nullopt;
        std::vector<std::string> values;
        for (const auto entry : list) {
            std::string_view value;
            if (entry.get(value) != simdjson::SUCCESS) return std::nullopt;
            values.emplace_back(value);
        }
        return values;
    }

    /// A name as messages show it. Names that callers made up are cut off.
    [[nodiscard]] std::string shown(std::string_view name) const {
        std::string text = prefix_;
        text += name.substr(0, detail::max_shown_name);
        return text;
    }

    std::optional<simdjson::dom::object> fields_;
    std::string prefix_;
    asked_names asked_;
    std::size_t found_ = 0; ///< How many of them there are.
    std::optional<error> failure_;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
