#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/create_cases.hpp>
#include <roundhouse/testing/backend_conformance/data_cases.hpp>
#include <roundhouse/testing/backend_conformance/end_cases.hpp>
#include <roundhouse/testing/backend_conformance/exit_cases.hpp>
#include <roundhouse/testing/backend_conformance/identity_cases.hpp>
#include <roundhouse/testing/backend_conformance/key_cases.hpp>
#include <roundhouse/testing/backend_conformance/parallel_cases.hpp>
#include <roundhouse/testing/backend_conformance/pause_cases.hpp>
#include <roundhouse/testing/backend_conformance/subject.hpp>
#include <roundhouse/version.hpp>

#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What the concept `backend` asks of a backend, for running on one's own with any test framework:
///
///     my_backend tested(threads.get_executor());
///     const roundhouse::testing::backend_subject<my_backend> subject{
///         .tested = tested,
///         .executor = threads.get_executor(),
///         .version = "my-engine:1",
///         .free_port = [] { return a_port_that_nobody_holds(); },
///         .crash = [](const roundhouse::workload_ref& ref) { kill_from_outside(ref); }};
///     for (const auto& one : roundhouse::testing::backend_conformance<my_backend>())
///         one.run(subject); // throws conformance_failure
///
/// A case makes engines of its own and destroys them; the backend need not be new. Cases wait for
/// what they want to see, looking often, and judge nothing by how long it took.
template <backend Backend> [[nodiscard]] std::vector<backend_case<Backend>> backend_conformance() {
    std::vector<backend_case<Backend>> cases;
    for (const auto& part :
         {create_cases::all<Backend>(), end_cases::all<Backend>(), pause_cases::all<Backend>(),
          exit_cases::all<Backend>(), word_cases::all<Backend>(), parallel_cases::all<Backend>()})
        cases.insert(cases.end(), part.begin(), part.end());
    return cases;
}

/// The rest of it, which only real engines can tell: what becomes of their data and keys. The
/// subject must have `count`.
template <backend Backend>
[[nodiscard]] std::vector<backend_case<Backend>> backend_data_conformance() {
    std::vector<backend_case<Backend>> cases;
    for (const auto& part : {data_cases::all<Backend>(), key_cases::all<Backend>()})
        cases.insert(cases.end(), part.begin(), part.end());
    return cases;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
