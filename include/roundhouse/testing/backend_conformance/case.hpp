#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/subject.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/version.hpp>

#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// One requirement on a backend. `run` throws `conformance_failure` if the backend does not meet
/// it, and whatever the subject's functions throw.
template <backend Backend> struct backend_case {
    std::string_view name; ///< A sentence.
    void (*body)(backend_trial<Backend>&) = nullptr;

    void run(const backend_subject<Backend>& subject) const {
        backend_trial<Backend> trial(subject);
        body(trial);
        trial.clear();
    }
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
