#pragma once

#include <roundhouse/version.hpp>

#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Keeps the first rule that a run broke. Those who find one are often deep inside the code under
/// test, so it is kept here and not thrown.
class sim_judge {
public:
    void blame(std::string what) {
        if (!broken_) broken_ = std::move(what);
    }
    void require(bool holds, const char* rule, const std::string& of = {}) {
        if (!holds) blame(of.empty() ? rule : std::string(rule) + ": " + of);
    }
    [[nodiscard]] const std::optional<std::string>& broken() const noexcept { return broken_; }

private:
    std::optional<std::string> broken_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
