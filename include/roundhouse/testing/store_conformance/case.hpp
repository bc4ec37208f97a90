#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/version.hpp>

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace roundhouse::inline ROUNDHOUSE_ABI::testing {

/// One thing that a store must do. `run` wants a store that is new and empty, and throws
/// `conformance_failure` if the store does something else.
template <store Store> struct store_case {
    std::string_view name; ///< a sentence
    void (*run)(Store&) = nullptr;
};

/// Says what a store should have done, and which line of the suite asked for it.
class conformance_failure : public std::runtime_error {
public:
    conformance_failure(std::string_view sentence, const std::source_location& where)
        : std::runtime_error(std::string(sentence) + "\n  " + where.file_name() + ':' +
                             std::to_string(where.line())),
          line_(where.line()) {}

    [[nodiscard]] unsigned line() const noexcept { return line_; }

private:
    unsigned line_;
};

// What the cases are written with.

inline void require(bool holds, std::string_view sentence,
                    const std::source_location& where = std::source_location::current()) {
    if (!holds) throw conformance_failure(sentence, where);
}

/// Two records, pages or answers must be alike in every member.
template <class Got, class Wanted>
void require_same(const Got& got, const Wanted& wanted, std::string_view sentence,
                  const std::source_location& where = std::source_location::current()) {
    const auto differs = difference(text_of(got), text_of(wanted));
    require(differs.empty(), std::string(sentence) + ": " + differs, where);
}

/// The value of an answer that must be one.
template <class T>
T must(result<T> answer, const std::source_location& where = std::source_location::current()) {
    if (!answer)
        throw conformance_failure("should succeed: " + std::string(code_name(answer.error().code)) +
                                      ": " + answer.error().message,
                                  where);
    if constexpr (!std::is_void_v<T>) return std::move(*answer);
}

/// The object of an answer that must have one.
template <class Pointer>
auto must_have(result<Pointer> answer,
               const std::source_location& where = std::source_location::current()) {
    const auto found = must(std::move(answer), where);
    require(found != nullptr, "should be there", where);
    return *found;
}

template <class T>
void require_refused(const result<T>& answer, errc code,
                     const std::source_location& where = std::source_location::current()) {
    require(!answer, "should be refused", where);
    require(answer.error().code == code,
            "should be refused for another reason than " +
                std::string(code_name(answer.error().code)) + ": " + answer.error().message,
            where);
    require(!answer.error().message.empty(), "a refusal says why", where);
}

} // namespace roundhouse::inline ROUNDHOUSE_ABI::testing
