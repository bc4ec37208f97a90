#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/copy_cases.hpp>
#include <roundhouse/testing/backend_conformance/create_cases.hpp>
#include <roundhouse/testing/backend_conformance/data_cases.hpp>
#include <roundhouse/testing/backend_conformance/end_cases.hpp>
#include <roundhouse/testing/backend_conformance/exit_cases.hpp>
#include <roundhouse/testing/backend_conformance/identity_cases.hpp>
#include <roundhouse/testing/backend_conformance/key_cases.hpp>
#include <roundhouse/testing/backend_conformance/key_swap_cases.hpp>
#include <roundhouse/testing/backend_conformance/log_cases.hpp>
#include <roundhouse/testing/backend_conformance/parallel_cases.hpp>
#include <roundhouse/testing/backend_conformance/pause_cases.hpp>
#include <roundhouse/testing/backend_conformance/subject.hpp>
#include <roundhouse/version.hpp>

#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The requirements of the concept `backend`, to be run on a backend with any test framework:
///
///     my_backend tested(threads.get_executor());
///     const roundhouse::testing::backend_subject<my_backend> subject{
///         .tested = tested,
///         .executor = threads.get_executor(),
///         .version = "my-engine:1",
///         .free_port = [] { return find_a_free_port(); },
///         .crash = [](const roundhouse::workload_ref& ref) { kill_from_outside(ref); }};
///     for (const auto& requirement : roundhouse::testing::backend_conformance<my_backend>())
///         requirement.run(subject); // throws conformance_failure
///
/// A case makes engines of its own and destroys them; the backend need not be new. Cases poll for
/// the result that they expect, and do not measure time.
template <backend Backend> [[nodiscard]] std::vector<backend_case<Backend>> backend_conformance() {
    std::vector<backend_case<Backend>> cases;
    for (const auto& part :
         {create_cases::all<Backend>(), end_cases::all<Backend>(), pause_cases::all<Backend>(),
          exit_cases::all<Backend>(), identity_cases::all<Backend>(), log_cases::all<Backend>(),
          key_swap_cases::all<Backend>(), parallel_cases::all<Backend>()})
        cases.insert(cases.end(), part.begin(), part.end());
    return cases;
}

/// The requirements on the data, its copies and the keys of engines, which need real engines and a subject with
/// `count`.
template <backend Backend>
[[nodiscard]] std::vector<backend_case<Backend>> backend_data_conformance() {
    std::vector<backend_case<Backend>> cases;
    for (const auto& part :
         {data_cases::all<Backend>(), copy_cases::all<Backend>(), key_cases::all<Backend>()})
        cases.insert(cases.end(), part.begin(), part.end());
    return cases;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
