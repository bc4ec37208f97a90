#pragma once

#include <roundhouse/version.hpp>

#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Keeps the first violation of a rule in a run. Checks run deep inside the code under test, so a
/// violation is recorded and not thrown.
class violations {
public:
    void add(std::string violation) {
        if (!first_) first_ = std::move(violation);
    }
    void require(bool holds, const char* violation, const std::string& subject = {}) {
        if (!holds) add(subject.empty() ? violation : std::string(violation) + ": " + subject);
    }
    [[nodiscard]] const std::optional<std::string>& first() const noexcept { return first_; }

private:
    std::optional<std::string> first_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
