#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <string>
#include <vector>

/// What a backend promises of its name, of URLs, and of the identity of engines in its list.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::identity_cases {

template <backend Backend> void has_a_name_and_no_trouble(backend_trial<Backend>& trial) {
    require(!trial.tested().name().empty(), "a backend has a name");
    trial.await([&] { return !trial.tested().trouble(); }, "there should be no trouble");
    const auto engine = trial.boot();
    require(!trial.tested().trouble(), "there is no trouble while engines run");
}

template <backend Backend> void has_urls(backend_trial<Backend>& trial) {
    const auto engine = trial.fresh();
    const auto another = trial.fresh();
    const auto url_of = [&](const trial_engine& asked) {
        return trial.tested().url(asked.workload.ref.engine_id, asked.workload.ref.port);
    };
    require(!url_of(engine).empty(), "an engine has a URL");
    require(url_of(engine) != url_of(another), "two engines have two URLs");
    require(url_of(engine) == url_of(engine), "a URL does not change");
    const auto port = engine.workload.ref.port;
    if (port == 0) return;
    require(url_of(engine).ends_with(':' + std::to_string(port)), "a URL has the engine's port");
    require(trial.tested().port_usable(port), "a free port is usable");
}

template <backend Backend> void lists_owners(backend_trial<Backend>& trial) {
    auto engine = trial.fresh(3);
    engine.workload.owner.user_id = "Zo\u00eb \"the\" O'Neill=1,2/../\\";
    must(trial.create(engine));
    trial.await_healthy(engine);
    const auto lists_owner = [&] {
        const auto found = trial.listed(engine);
        require(found && (!found->owner || *found->owner == engine.workload.owner),
                "an engine is listed with its owner, or with none");
        return found->owner.has_value();
    };
    trial.require_listed(engine, workload_state::up);
    const bool owner_is_known = lists_owner();
    must(trial.stop(engine));
    require(lists_owner() == owner_is_known, "a stopped engine is listed with its owner too");
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a backend has a name, and no trouble in normal operation",
         has_a_name_and_no_trouble<Backend>},
        {"each engine has a URL of its own", has_urls<Backend>},
        {"an engine is listed with its owner, generation and port", lists_owners<Backend>},
    };
}

} // namespace testing::identity_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
