#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/store_conformance/audit_cases.hpp>
#include <roundhouse/testing/store_conformance/audit_filter_cases.hpp>
#include <roundhouse/testing/store_conformance/batch_cases.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/concurrency_cases.hpp>
#include <roundhouse/testing/store_conformance/deletion_cases.hpp>
#include <roundhouse/testing/store_conformance/engine_cases.hpp>
#include <roundhouse/testing/store_conformance/idempotency_cases.hpp>
#include <roundhouse/testing/store_conformance/listing_cases.hpp>
#include <roundhouse/testing/store_conformance/listing_filter_cases.hpp>
#include <roundhouse/testing/store_conformance/port_cases.hpp>
#include <roundhouse/testing/store_conformance/product_cases.hpp>
#include <roundhouse/testing/store_conformance/quota_cases.hpp>
#include <roundhouse/testing/store_conformance/round_trip_cases.hpp>
#include <roundhouse/version.hpp>

#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The requirements of the concept `store` and of `changes.hpp`, as cases for any test framework:
///
///     for (const auto& test : roundhouse::testing::store_conformance<my_store>()) {
///         my_store store;
///         test.run(store); // throws conformance_failure
///     }
///
/// Each case needs a new and empty store. The cases neither sleep nor read the clock. Some start
/// threads, which have ended when the case returns.
template <store Store> [[nodiscard]] std::vector<store_case<Store>> store_conformance() {
    std::vector<store_case<Store>> cases;
    for (const auto& part :
         {engine_cases::all<Store>(), product_cases::all<Store>(), deletion_cases::all<Store>(),
          quota_cases::all<Store>(), port_cases::all<Store>(), listing_cases::all<Store>(),
          listing_filter_cases::all<Store>(), batch_cases::all<Store>(),
          round_trip_cases::all<Store>(), audit_cases::all<Store>(),
          audit_filter_cases::all<Store>(), idempotency_cases::all<Store>(),
          concurrency_cases::all<Store>()})
        cases.insert(cases.end(), part.begin(), part.end());
    return cases;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
