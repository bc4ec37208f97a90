#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/version.hpp>

#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// One thing that a store must do. `run` wants a store that is new and empty, and throws
/// `conformance_failure` if the store does something else.
template <store Store> struct store_case {
    std::string_view name; ///< a sentence
    void (*run)(Store&) = nullptr;
};

// What the cases are written with, beside what backends' cases use too.

/// Two records, pages or answers must be alike in every member.
template <class Got, class Wanted>
void require_same(const Got& got, const Wanted& wanted, std::string_view sentence,
                  const std::source_location& where = std::source_location::current()) {
    const auto differs = difference(text_of(got), text_of(wanted));
    require(differs.empty(), std::string(sentence) + ": " + differs, where);
}

/// The object of an answer that must have one.
template <class Pointer>
auto must_have(result<Pointer> answer,
               const std::source_location& where = std::source_location::current()) {
    const auto found = must(std::move(answer), where);
    require(found != nullptr, "should be there", where);
    return *found;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
