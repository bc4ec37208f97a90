#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/version.hpp>

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Says what a store or a backend should have done, and which line of the suite asked for it.
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

/// The value of an answer that must be one.
template <class T>
T must(result<T> answer, const std::source_location& where = std::source_location::current()) {
    if (!answer)
        throw conformance_failure("should succeed: " + std::string(code_name(answer.error().code)) +
                                      ": " + answer.error().message,
                                  where);
    if constexpr (!std::is_void_v<T>) return std::move(*answer);
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

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
