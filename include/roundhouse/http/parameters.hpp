#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/whole_range.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/ignored_names.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Reads the query of a request's target. Parameters that are not read are added to `ignored`, if that
/// is given. A filter with an empty value (`status=`) counts as missing. A parameter that is read and
/// occurs twice is refused.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// Reads a text that consists of decimal digits; nothing if it has other characters or the number
/// does not fit.
[[nodiscard]] inline std::optional<std::uint64_t> read_whole(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// Reads a number of seconds in decimal digits, with or without a fraction, rounded up to whole
/// milliseconds; nothing if it is none, or over a year.
[[nodiscard]] inline std::optional<duration> read_seconds(std::string_view text) noexcept {
    const auto point = text.find('.');
    const auto whole = read_whole(text.substr(0, point));
    constexpr std::uint64_t year = 366 * 86'400;
    if (!whole || *whole > year) return std::nullopt;
    duration out = std::chrono::seconds{*whole};
    if (point == std::string_view::npos) return out;
    const auto fraction = text.substr(point + 1);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (fraction.empty() || !std::ranges::all_of(fraction, is_digit)) return std::nullopt;
    for (std::size_t i = 0; i < 3 && i < fraction.size(); ++i)
        out += duration{(fraction[i] - '0') * (i == 0 ? 100 : i == 1 ? 10 : 1)};
    if (fraction.find_first_not_of('0', std::min<std::size_t>(3, fraction.size())) !=
        std::string_view::npos)
        ++out;
    return out;
}

/// Removes a number of `width` digits from the front of a text, and returns it.
[[nodiscard]] inline std::optional<unsigned> take_digits(std::string_view& text,
                                                         std::size_t width) noexcept {
    if (text.size() < width) return std::nullopt;
    const auto value = read_whole(text.substr(0, width));
    if (!value) return std::nullopt;
    text.remove_prefix(width);
    return static_cast<unsigned>(*value);
}

/// Removes a character from the front of a text; false if the text starts otherwise.
[[nodiscard]] inline bool take(std::string_view& text, char expected) noexcept {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(1);
    return true;
}

/// Removes the digits of a fraction, 1 to 9, from the front of a text and returns its milliseconds.
/// Further digits are dropped.
[[nodiscard]] inline std::optional<std::chrono::milliseconds>
take_fraction(std::string_view& text) noexcept {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const auto end = std::ranges::find_if_not(text, is_digit);
    const auto width = static_cast<std::size_t>(end - text.begin());
    if (width == 0 || width > 9) return std::nullopt;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 3; ++i)
        value = value * 10 + (i < width ? static_cast<unsigned>(text[i] - '0') : 0U);
    text.remove_prefix(width);
    return std::chrono::milliseconds{value};
}

} // namespace detail

/// Reads a UTC time such as `append_time` writes. The fraction may be missing or have up to nine
/// digits.
[[nodiscard]] inline std::optional<instant> parse_time(std::string_view text) noexcept {
    using namespace std::chrono;
    std::array<unsigned, 6> parts{};
    static constexpr std::array<std::pair<std::size_t, char>, 6> shape{
        {{4, '-'}, {2, '-'}, {2, 'T'}, {2, ':'}, {2, ':'}, {2, '\0'}}};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto value = detail::take_digits(text, shape[i].first);
        if (!value) return std::nullopt;
        parts[i] = *value;
        if (shape[i].second != '\0' && !detail::take(text, shape[i].second)) return std::nullopt;
    }
    milliseconds fraction{0};
    if (detail::take(text, '.')) {
        const auto taken = detail::take_fraction(text);
        if (!taken) return std::nullopt;
        fraction = *taken;
    }
    const year_month_day date{year{static_cast<int>(parts[0])}, month{parts[1]}, day{parts[2]}};
    if (text != "Z" || !date.ok() || parts[3] > 23 || parts[4] > 59 || parts[5] > 59)
        return std::nullopt;
    return sys_days{date} + hours{parts[3]} + minutes{parts[4]} + seconds{parts[5]} + fraction;
}

/// Reads the parameters of a query. After a failure, further reads return nothing.
class query_reader {
public:
    /// The query must outlive the reader.
    explicit query_reader(std::string_view query) noexcept : query_(query) {}

    /// The first failure, if there was one.
    [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }

    /// Adds the parameters that were not read to `ignored`, which may be null.
    void tell_unread(ignored_names* ignored) const {
        if (ignored == nullptr || failure_) return;
        for (auto rest = query_; !rest.empty();) {
            const auto [key, value] = split(take_pair(rest));
            std::string name;
            if (!percent_decode(key, plus_sign::space, name)) name = key;
            if (name.empty() && value.empty()) continue;
            if (!asked_.has(name) && !is_member(name))
                ignored->add(ignored_names::in_query, {}, name, asked_.all());
        }
    }

    /// Ends the reading: adds what was not read to `ignored`, which may be null. Returns the first
    /// failure, if there was one.
    [[nodiscard]] const std::optional<error>& finish(ignored_names* ignored) const {
        tell_unread(ignored);
        return failure_;
    }

    /// Reads a whole number from `least` to `most`; `otherwise` if the parameter is missing.
    [[nodiscard]] std::uint64_t whole(std::string_view name, std::uint64_t otherwise,
                                      std::uint64_t least, std::uint64_t most) {
        const auto value = find(name);
        if (!value) return otherwise;
        const auto number = detail::read_whole(*value);
        const core::whole_range range{least, most};
        if (number && range.holds(*number)) return *number;
        refuse(name, "must be " + range.text() + ".");
        return otherwise;
    }

    /// Reads a number of seconds from 0 to `most`, such as `30` or `0.5`, rounded up to whole
    /// milliseconds; nothing if the parameter is missing.
    [[nodiscard]] std::optional<duration> seconds(std::string_view name,
                                                  std::chrono::seconds most) {
        const auto value = find(name);
        if (!value) return std::nullopt;
        const auto read = detail::read_seconds(*value);
        if (read && *read <= most) return read;
        refuse(name, "must be a number of seconds, 0 to " + std::to_string(most.count()) + ".");
        return std::nullopt;
    }

    /// Reads `true` or `false`; `otherwise` if the parameter is missing.
    [[nodiscard]] bool boolean(std::string_view name, bool otherwise) {
        const auto value = find(name);
        if (!value) return otherwise;
        if (*value == "true") return true;
        if (*value == "false") return false;
        refuse(name, "must be true or false.");
        return otherwise;
    }

    /// Reads a filter with `parse`; nothing if it is missing or empty.
    template <class Parse>
    [[nodiscard]] auto filter(std::string_view name, Parse parse, std::string_view complaint)
        -> decltype(parse(std::string_view())) {
        const auto value = find(name);
        if (!value || value->empty()) return std::nullopt;
        auto parsed = parse(std::string_view(*value));
        if (!parsed) refuse(name, complaint);
        return parsed;
    }

    /// Reads a user_id; nothing if it is missing or empty.
    [[nodiscard]] std::optional<std::string> user_id(std::string_view name) {
        auto value = find(name);
        if (!value || value->empty()) return std::nullopt;
        if (const auto complaint = core::names::check_user_id(*value)) refuse(name, *complaint);
        return value;
    }

    /// Reads the beginning of user_ids; empty if it is missing.
    [[nodiscard]] std::string user_prefix(std::string_view name) {
        auto value = find(name);
        if (!value) return {};
        if (const auto complaint = core::names::check_user_prefix(*value)) refuse(name, *complaint);
        return std::move(*value);
    }

    /// Reads the members of metadata: parameters whose names are `prefix`, which is a literal of the
    /// program, and the name of a member. An empty value is one as any other.
    [[nodiscard]] named_texts members(std::string_view prefix) {
        asked_prefix_ = prefix;
        named_texts found;
        for (auto rest = query_; !rest.empty() && !failure_;) {
            const auto [encoded, value] = split(take_pair(rest));
            std::string key;
            if (!percent_decode(encoded, plus_sign::space, key)) {
                if (is_member(encoded))
                    refuse(encoded.substr(0, detail::max_shown_name), unfinished_percent);
                continue;
            }
            if (!is_member(key)) continue;
            const auto [member, added] = found.try_emplace(key.substr(prefix.size()));
            const auto shown = key.substr(0, detail::max_shown_name);
            if (!added) refuse(shown, "is given twice.");
            decode(shown, value, member->second);
        }
        if (const auto fault = core::check_metadata(found)) refuse(fault->member, fault->complaint);
        return found;
    }

    /// Whether there is a parameter of this name.
    [[nodiscard]] bool has(std::string_view name) const {
        for (auto rest = query_; !rest.empty();)
            if (is_called(take_pair(rest), name)) return true;
        return false;
    }

    /// The query without the parameters of this name.
    [[nodiscard]] std::string without(std::string_view name) const {
        std::string out;
        for (auto rest = query_; !rest.empty();) {
            const auto pair = take_pair(rest);
            if (is_called(pair, name)) continue;
            if (!out.empty()) out += '&';
            out += pair;
        }
        return out;
    }

private:
    static constexpr std::string_view unfinished_percent =
        "a % must be followed by two hexadecimal digits. Write %25 for a % itself.";

    /// Whether a name was read by `members`.
    [[nodiscard]] bool is_member(std::string_view name) const noexcept {
        return !asked_prefix_.empty() && name.starts_with(asked_prefix_);
    }

    void refuse(std::string_view name, std::string_view complaint) {
        if (!failure_)
            failure_ = error{errc::invalid_request,
                             std::string(name) + ": " + std::string(complaint)};
    }

    /// Removes the first parameter from the front of a query, and returns it.
    [[nodiscard]] static std::string_view take_pair(std::string_view& query) noexcept {
        const auto end = query.find('&');
        const auto pair = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
        return pair;
    }

    /// The name and the value of a parameter, still percent-encoded.
    [[nodiscard]] static std::pair<std::string_view, std::string_view>
    split(std::string_view pair) noexcept {
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos) return {pair, {}};
        return {pair.substr(0, equals), pair.substr(equals + 1)};
    }

    [[nodiscard]] static bool is_called(std::string_view pair, std::string_view name) {
        std::string key;
        return percent_decode(split(pair).first, plus_sign::space, key) && key == name;
    }

    /// Returns the decoded value of a parameter; nothing if it is missing.
    [[nodiscard]] std::optional<std::string> find(std::string_view name) {
        asked_.add(name);
        std::optional<std::string> found;
        for (auto rest = query_; !rest.empty() && !failure_;) {
            const auto [encoded, value] = split(take_pair(rest));
            std::string key;
            if (!percent_decode(encoded, plus_sign::space, key) || key != name) continue;
            if (found) refuse(name, "is given twice.");
            decode(name, value, found.emplace());
        }
        if (failure_) return std::nullopt;
        return found;
    }

    /// Decodes the value of a parameter.
    void decode(std::string_view name, std::string_view value, std::string& into) {
        if (!percent_decode(value, plus_sign::space, into)) refuse(name, unfinished_percent);
    }

    std::string_view query_;
    asked_names asked_;
    std::string_view asked_prefix_; ///< Of `members`; empty if they were not read.
    std::optional<error> failure_;
};

namespace detail {

inline constexpr std::uint64_t max_page = 1'000;
inline constexpr std::uint64_t max_log_lines = 10'000;
inline constexpr std::uint64_t no_bound = std::numeric_limits<std::uint64_t>::max();

inline constexpr std::string_view time_shape =
    "must be a UTC time such as 2025-01-31T13:45:00.000Z.";

} // namespace detail

/// Reads the parameters of `GET /engines`.
[[nodiscard]] inline result<engine_query>
read_engine_query(std::string_view query, const uuid& product, ignored_names* ignored = nullptr) {
    query_reader in(query);
    engine_query out;
    out.product_id = product;
    out.status = in.filter(
        "status", parse_engine_status,
        "must be provisioning, running, sleeping, stopped, failed or destroying.");
    out.limit = in.whole("limit", out.limit, 1, detail::max_page);
    out.offset = in.whole("offset", 0, 0, detail::no_bound);
    out.after = in.filter("after", detail::read_whole, "must be the `next` of a page.");
    out.user_prefix = in.user_prefix("q");
    out.metadata = in.members("metadata.");
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the parameters of `GET /products`.
[[nodiscard]] inline result<product_query> read_product_query(std::string_view query,
                                                              ignored_names* ignored = nullptr) {
    query_reader in(query);
    product_query out;
    const auto read_slug = [](std::string_view text) {
        return core::names::check_slug(text) ? std::nullopt : std::optional(std::string(text));
    };
    out.limit = in.whole("limit", out.limit, 1, detail::max_page);
    out.after = in.filter("after", read_slug, "must be the `next` of a page.").value_or("");
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the parameters of `GET /audit`.
[[nodiscard]] inline result<audit_query>
read_audit_query(std::string_view query, const uuid& product, ignored_names* ignored = nullptr) {
    query_reader in(query);
    audit_query out;
    const auto read_positive = [](std::string_view text) {
        const auto number = detail::read_whole(text);
        return number == 0U ? std::nullopt : number;
    };
    out.product_id = product;
    out.user_id = in.user_id("user_id");
    out.engine_id = in.filter("engine_id", parse_uuid, "must be a UUID.");
    out.action = in.filter("action", parse_audit_action, "is not an action of the audit log.");
    out.since = in.filter("since", parse_time, detail::time_shape);
    out.until = in.filter("until", parse_time, detail::time_shape);
    out.before = in.filter("before", read_positive,
                           "must be a whole number, 1 or more: the next_before of a page.");
    out.limit = in.whole("limit", out.limit, 1, detail::max_page);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the parameters of `GET /engines/{user_id}/logs`.
[[nodiscard]] inline result<log_query> read_log_query(std::string_view query,
                                                      ignored_names* ignored = nullptr) {
    query_reader in(query);
    log_query out;
    out.follow = in.boolean("follow", false);
    out.since = in.filter("since", parse_time, detail::time_shape);
    constexpr auto all = detail::no_bound;
    const auto tail = in.whole("tail", out.since ? all : 100, out.follow ? 0 : 1,
                               detail::max_log_lines);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    out.tail = tail == all ? std::nullopt : std::optional(static_cast<std::size_t>(tail));
    return out;
}

/// How long a caller waits; nothing for a call's end.
using chosen_wait = std::optional<duration>;

namespace detail {

[[nodiscard]] inline chosen_wait read_wait(query_reader& in) {
    return in.seconds("wait_s",
                      std::chrono::duration_cast<std::chrono::seconds>(longest_chosen_wait));
}

/// Reads names of states, separated by commas.
[[nodiscard]] inline std::optional<engine_statuses> read_statuses(std::string_view text) {
    engine_statuses out;
    for (;;) {
        const auto comma = text.find(',');
        const auto status = parse_engine_status(text.substr(0, comma));
        if (!status) return std::nullopt;
        out.add(*status);
        if (comma == std::string_view::npos) return out;
        text.remove_prefix(comma + 1);
    }
}

} // namespace detail

/// Reads the parameters of a call that has no others: how long its caller waits.
[[nodiscard]] inline result<chosen_wait> read_wait(std::string_view query,
                                                   ignored_names* ignored = nullptr) {
    query_reader in(query);
    const auto out = detail::read_wait(in);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// The parameters of `GET /engines/{user_id}`.
struct state_query {
    engine_statuses wanted{}; ///< Empty: it is answered at once.
    duration span = std::chrono::seconds{30};
};

/// Reads the parameters of `GET /engines/{user_id}`. `wait_s` means nothing by itself.
[[nodiscard]] inline result<state_query> read_state_query(std::string_view query,
                                                          ignored_names* ignored = nullptr) {
    query_reader in(query);
    state_query out;
    const auto wanted = in.filter("wait_for", detail::read_statuses,
                                  "must be provisioning, running, sleeping, stopped, failed or "
                                  "destroying, or several of these separated by commas.");
    if (wanted) out = {*wanted, detail::read_wait(in).value_or(out.span)};
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// The parameters of `POST /engines/{user_id}/stop`.
struct stop_query {
    bool force = false; ///< Whether to stop in any state.
    chosen_wait wait{};
};

[[nodiscard]] inline result<stop_query> read_stop_query(std::string_view query,
                                                        ignored_names* ignored = nullptr) {
    query_reader in(query);
    const stop_query out{in.boolean("force", false), detail::read_wait(in)};
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the parameters of `DELETE /products/{product_id or slug}`: whether its engines go too.
[[nodiscard]] inline result<bool> read_cascade(std::string_view query,
                                               ignored_names* ignored = nullptr) {
    query_reader in(query);
    const bool cascade = in.boolean("cascade", false);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return cascade;
}

/// Reads the parameters of `PATCH /engines/{user_id}`: whether to restart the engine.
[[nodiscard]] inline result<bool> read_restart(std::string_view query,
                                               ignored_names* ignored = nullptr) {
    query_reader in(query);
    const bool restart = in.boolean("restart", false);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return restart;
}

/// Reads a value of `If-Match` (RFC 9110 §13.1.1): the revision that it names. Nothing for `*`, which
/// any revision matches; 0, which none has, for a tag that is no number.
[[nodiscard]] inline result<std::optional<std::uint64_t>> read_if_match(std::string_view value) {
    if (value == "*") return std::nullopt;
    const bool quoted = value.size() >= 2 && value.starts_with('"') && value.ends_with('"');
    const auto tag = quoted ? value.substr(1, value.size() - 2) : std::string_view();
    if (!quoted || tag.find('"') != std::string_view::npos)
        return fail(errc::invalid_request,
                    "If-Match must be one settings_revision between quotes, such as \"3\", or *. "
                    "Send it once.");
    if (tag.starts_with('0')) return std::uint64_t{0}; // no revision begins so
    std::uint64_t revision = 0;
    const auto* const end = tag.data() + tag.size();
    const auto [parsed, problem] = std::from_chars(tag.data(), end, revision);
    if (problem != std::errc{} || parsed != end) return std::uint64_t{0};
    return revision;
}

/// What an administrator's query says of the product that a call is about, and the rest of it.
struct admin_query {
    std::optional<std::string> product; ///< Its product_id or slug, or what is none.
    std::string rest;
};

/// The parameter that names the product of an administrator's call.
inline constexpr std::string_view product_parameter = "product";

[[nodiscard]] inline bool names_product(std::string_view query) {
    return query_reader(query).has(product_parameter);
}

[[nodiscard]] inline result<admin_query> read_admin_query(std::string_view query) {
    query_reader in(query);
    const auto as_text = [](std::string_view text) { return std::optional(std::string(text)); };
    admin_query out;
    out.product = in.filter(product_parameter, as_text, "must name a product.");
    if (const auto& failure = in.finish(nullptr)) return unexpected(*failure);
    out.rest = in.without(product_parameter);
    return out;
}

/// Reads the query of a call that takes none: nothing of it is used.
inline void read_unused_query(std::string_view query, ignored_names& ignored) {
    const query_reader in(query);
    in.tell_unread(&ignored);
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
